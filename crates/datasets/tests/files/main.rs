//! Real files of every format: what is read of them, and what is said of broken ones.

// The attribute tells clippy that helpers, too, are test code, where a panic is the right answer.
#[cfg(test)]
mod bench;
#[cfg(test)]
mod names;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod text_formats;
