//! Where a response's body begins and ends on a connection, and its bytes without the framing (RFC 9112, sections 6 and 7).
//!
//! Works on pieces cut anywhere and copies nothing: what belongs to the body is handed on where it lies. Refuses to know
//! sockets and what a body means.

/// Longest chunk extension or trailer section that is skipped, in bytes.
const MOST_SKIPPED: u32 = 64 << 10;

/// The framing is not what HTTP/1.1 says; in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFraming(pub(crate) &'static str);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So many bytes of a body whose length was told.
    Length(u64),
    /// Body until the connection ends.
    UntilClose,
    /// The size of a chunk; so far, with any digit seen or not.
    Size(u64, bool),
    /// The rest of the line behind a chunk's size; the second says how much of it was skipped.
    Extension(u64, u32),
    /// The LF that ends the line of a chunk's size.
    SizeEnd(u64),
    /// So many bytes of a chunk.
    Data(u64),
    /// The CR and the LF behind a chunk.
    DataCr,
    DataLf,
    /// A trailer's line: whether it is empty so far, how much was skipped.
    Trailer(bool, u32),
    /// The LF of the empty line that ends the body.
    LastLf,
    /// Nothing: the body is whole.
    Over,
}

/// Takes a body's bytes out of a connection's.
#[derive(Debug)]
pub(crate) struct Decoder(Next);

impl Decoder {
    /// A body of a known length.
    pub(crate) fn length(length: u64) -> Self {
        Self(if length == 0 { Next::Over } else { Next::Length(length) })
    }

    /// A body in chunks.
    pub(crate) fn chunked() -> Self {
        Self(Next::Size(0, false))
    }

    /// A body that ends with the connection.
    pub(crate) fn until_close() -> Self {
        Self(Next::UntilClose)
    }

    /// The body is whole: nothing more on the connection belongs to it.
    pub(crate) fn over(&self) -> bool {
        self.0 == Next::Over
    }

    /// The connection may end here without anything missing.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.0, Next::Over | Next::UntilClose)
    }

    /// Takes bytes, hands the body's on, and returns what is left behind the body's end.
    ///
    /// # Errors
    /// The chunks are not framed as they must be.
    pub(crate) fn take<'a>(
        &mut self,
        mut bytes: &'a [u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<&'a [u8], BadFraming> {
        while !bytes.is_empty() && self.0 != Next::Over {
            bytes = match self.0 {
                Next::UntilClose => {
                    sink(bytes);
                    &[]
                }
                Next::Length(left) | Next::Data(left) => self.data(bytes, left, sink),
                _ => {
                    let (first, rest) = (bytes[0], &bytes[1..]);
                    self.0 = step(self.0, first)?;
                    rest
                }
            };
        }
        Ok(bytes)
    }

    fn data<'a>(&mut self, bytes: &'a [u8], left: u64, sink: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (body, rest) = bytes.split_at(count);
        sink(body);
        let left = left - count as u64;
        self.0 = match (self.0, left) {
            (Next::Data(_), 0) => Next::DataCr,
            (Next::Data(_), left) => Next::Data(left),
            (_, 0) => Next::Over,
            (_, left) => Next::Length(left),
        };
        rest
    }
}

/// What comes after one byte of framing.
fn step(next: Next, byte: u8) -> Result<Next, BadFraming> {
    Ok(match (next, byte) {
        (Next::Size(size, _), digit) if digit.is_ascii_hexdigit() => {
            let digit = u64::from(char::from(digit).to_digit(16).unwrap_or_default());
            let size = size.checked_mul(16).ok_or(BadFraming("a chunk's size is too large"))?;
            Next::Size(size | digit, true)
        }
        (Next::Size(size, true), b';' | b' ' | b'\t') => Next::Extension(size, 0),
        (Next::Size(size, true) | Next::Extension(size, _), b'\r') => Next::SizeEnd(size),
        (Next::Size(..), _) => return Err(BadFraming("a chunk's size is no hexadecimal number")),
        (Next::Extension(_, MOST_SKIPPED), _) => return Err(BadFraming("a chunk's extension is endless")),
        (Next::Extension(..), b'\n') => return Err(BadFraming("a line ends without CR")),
        (Next::Extension(size, skipped), _) => Next::Extension(size, skipped + 1),
        (Next::SizeEnd(0), b'\n') => Next::Trailer(true, 0),
        (Next::SizeEnd(size), b'\n') => Next::Data(size),
        (Next::DataCr, b'\r') => Next::DataLf,
        (Next::DataLf, b'\n') => Next::Size(0, false),
        (Next::DataCr | Next::DataLf, _) => return Err(BadFraming("a chunk is longer than its size")),
        (Next::Trailer(_, MOST_SKIPPED), _) => return Err(BadFraming("the trailer is endless")),
        (Next::Trailer(true, _), b'\r') => Next::LastLf,
        (Next::Trailer(_, skipped), byte) => Next::Trailer(byte == b'\n', skipped + 1),
        (Next::LastLf, b'\n') => Next::Over,
        (Next::SizeEnd(_) | Next::LastLf, _) => return Err(BadFraming("a CR stands without its LF")),
        (other @ (Next::Length(_) | Next::UntilClose | Next::Data(_) | Next::Over), _) => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body and what is behind it, from pieces of a connection.
    fn taken(mut decoder: Decoder, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), BadFraming> {
        let (mut body, mut rest) = (Vec::new(), Vec::new());
        for piece in pieces {
            rest.extend_from_slice(decoder.take(piece, &mut |bytes| body.extend_from_slice(bytes))?);
        }
        Ok((body, rest, decoder.over()))
    }

    #[test]
    fn a_length_ends_a_body_and_the_next_bytes_are_not_its() {
        assert_eq!(taken(Decoder::length(3), &[b"ab", b"cd"]), Ok((b"abc".to_vec(), b"d".to_vec(), true)));
        assert_eq!(taken(Decoder::length(3), &[b"ab"]), Ok((b"ab".to_vec(), Vec::new(), false)));
        assert!(Decoder::length(0).over() && !Decoder::length(1).may_end());
        assert!(Decoder::until_close().may_end() && !Decoder::chunked().may_end());
    }

    #[test]
    fn extensions_and_trailers_are_skipped() {
        let stream = b"3;x=\"y\"\r\nabc\r\nA \r\n0123456789\r\n0\r\nx-sum: 1\r\ny: 2\r\n\r\nrest";
        let expected = (b"abc0123456789".to_vec(), b"rest".to_vec(), true);
        assert_eq!(taken(Decoder::chunked(), &[stream]), Ok(expected));
    }

    #[test]
    fn wrong_framing_is_refused() {
        for wrong in [
            &b"x\r\n"[..],
            b"\r\n",
            b"2\r\nabc",
            b"1\n",
            b"2\r\nab\rx",
            b"fffffffffffffffff\r\n",
            b"0\r\n\rx",
            b"1;\n",
        ] {
            assert!(taken(Decoder::chunked(), &[wrong]).is_err(), "{wrong:?}");
        }
        let endless = [b"1;".to_vec(), vec![b'x'; 70 << 10]].concat();
        assert!(taken(Decoder::chunked(), &[&endless]).is_err());
        let endless = [b"0\r\n".to_vec(), vec![b'x'; 70 << 10]].concat();
        assert!(taken(Decoder::chunked(), &[&endless]).is_err());
    }

    proptest! {
        #[test]
        fn cuts_never_change_the_body(chunks in proptest::collection::vec("[a-z\r\n0]{1,40}", 0..8), size in 1..9usize) {
            let mut stream = String::new();
            for chunk in &chunks {
                stream += &format!("{:X}\r\n{chunk}\r\n", chunk.len());
            }
            stream += "0\r\n\r\n";
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            let expected = (chunks.concat().into_bytes(), Vec::new(), true);
            prop_assert_eq!(taken(Decoder::chunked(), &pieces), Ok(expected));
        }
    }
}
