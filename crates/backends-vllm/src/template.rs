//! Events that differ from an earlier one of their stream in nothing but the text.
//!
//! In a steady stream a server writes the same JSON around each token. Once an event has been read in full, its bytes before
//! and behind the text are kept; an event with the same bytes around a plain string is the same event with another text,
//! whatever the fields mean. That is a comparison of memory instead of a parse, and it assumes nothing about any server: what
//! differs anywhere else is read in full again. Refuses to know what an event means.

use std::str;

/// An event's bytes around its text.
#[derive(Debug, Default)]
pub(crate) struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    /// Keeps an event whose text is `text`, a part of `event`; nothing is kept where it is not such a part, since a text that
    /// was written with escapes stands nowhere as it is meant.
    pub(crate) fn learn(&mut self, event: &[u8], text: &str) {
        self.before.clear();
        self.after.clear();
        let start = (text.as_ptr() as usize).wrapping_sub(event.as_ptr() as usize);
        let Some(end) = start.checked_add(text.len()).filter(|end| *end < event.len()) else {
            return;
        };
        let (before, after) = (&event[..start], &event[end..]);
        // The text is all of a string, so that any other plain text may stand for it.
        if before.ends_with(b"\"") && after.starts_with(b"\"") {
            self.before.extend_from_slice(before);
            self.after.extend_from_slice(after);
        }
    }

    /// The text of an event that is like the one learnt but for its text; `None` for every other event, and where the text is
    /// empty, is not plain, or is no UTF-8.
    pub(crate) fn text<'a>(&self, event: &'a [u8]) -> Option<&'a str> {
        if self.after.is_empty() {
            return None;
        }
        let text = event.strip_prefix(self.before.as_slice())?.strip_suffix(self.after.as_slice())?;
        let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
        if text.is_empty() || !text.iter().all(plain) {
            return None;
        }
        str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENT: &str = r#"{"id":"a","choices":[{"delta":{"content":" be"}}],"n":1}"#;

    fn learnt() -> Template {
        let mut template = Template::default();
        let start = EVENT.find(" be").unwrap();
        template.learn(EVENT.as_bytes(), &EVENT[start..start + 3]);
        template
    }

    #[test]
    fn another_text_is_found_and_another_event_is_not() {
        let template = learnt();
        assert_eq!(template.text(EVENT.as_bytes()), Some(" be"));
        assert_eq!(template.text(EVENT.replace(" be", "él 🙂").as_bytes()), Some("él 🙂"));
        for (from, to) in [
            ("1}", "2}"),
            ("\"a\"", "\"b\""),
            (" be", ""),
            (" be", "\\n"),
            (" be", "a\",\"x\":\"b"),
            (" be", "\n"),
        ] {
            assert_eq!(template.text(EVENT.replace(from, to).as_bytes()), None, "{to}");
        }
        let mut broken = EVENT.as_bytes().to_vec();
        broken[EVENT.find("be").unwrap()] = 0xff;
        assert_eq!(template.text(&broken), None);
        // Too short for both sides at once.
        assert_eq!(template.text(br#"{"id":"a","choices":[{"delta":{"content":""#), None);
    }

    #[test]
    fn nothing_is_learnt_from_a_text_that_stands_elsewhere_or_not_as_a_whole_string() {
        for text in [" be".to_owned().as_str(), &EVENT[EVENT.find("be").unwrap()..][..2]] {
            let mut template = learnt();
            template.learn(EVENT.as_bytes(), text);
            assert_eq!(template.text(EVENT.as_bytes()), None);
        }
        assert_eq!(Template::default().text(EVENT.as_bytes()), None);
        assert_eq!(Template::default().text(b""), None);
    }

    proptest! {
        /// Whatever is taken for the same event is what the full reader reads, too.
        #[test]
        fn what_is_found_is_what_json_says(text in "[ -~\u{7f}\u{e9}\u{1F642}]{0,8}", tail in "(\\}|\\}\\]|,\"n\":1\\})?") {
            let event = EVENT.replace(" be", &text).replace("1}", &format!("1}}{tail}"));
            if let Some(found) = learnt().text(event.as_bytes()) {
                let read: serde_json::Value = serde_json::from_str(&event).unwrap();
                prop_assert_eq!(&read["choices"][0]["delta"]["content"], found);
            }
        }
    }
}
