//! Every result format against real files and fixed records.

// The lint knows tests by their attribute, not the helpers they call.
#![allow(clippy::unwrap_used)]

mod collecting;
mod figures;
mod formats;
mod html;
mod journal;
mod json;
mod live;
mod parts;
mod place;
mod support;
mod terminal;
