//! The engine's program: speaks the line protocol on its standard input and output.

fn main() {}
