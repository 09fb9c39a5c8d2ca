//! Every result format against real files and fixed records.

mod collecting;
mod journal;
mod json;
mod live;
mod place;
mod support;
mod terminal;
