//! Pages of HTML: each one file that needs no network, in light and dark, on paper, on a phone and without a mouse.
//!
//! [`Page`] is plain data: sections of texts, cards, tables and charts. One template draws it and escapes every text, so
//! that nothing a server or a user wrote becomes markup; a chart's SVG alone is taken as it is, since only the module
//! `chart` makes it. Refuses to know what a page is about.

pub mod chart;
mod page;
pub mod run;
pub mod sweep;

pub use chart::{Axis, Bar, Bars, Bin, Chart, Histogram, Legend, Line, Lines, Point, Points, Segment, Shade};
pub use page::{Block, Card, Cell, Column, Level, Notice, Page, Row, Section, Table};
