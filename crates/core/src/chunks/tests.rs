//! Every form holds the same chunks, whatever they are.

use std::io;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

/// A store in memory.
#[derive(Debug, Default)]
struct Shelf(Mutex<Vec<u8>>);

impl Store for Shelf {
    fn keep(&self, bytes: &[u8]) -> u64 {
        let mut all = self.0.lock().unwrap();
        all.extend_from_slice(bytes);
        (all.len() - bytes.len()) as u64
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let all = self.0.lock().unwrap();
        let from = at as usize;
        let bytes = all.get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

fn any_chunk() -> impl Strategy<Value = (u64, u8, Option<u32>)> {
    let gap = prop_oneof![0..3_u64, 0..70_000_u64, 0..20_000_000_u64, 0..6_000_000_000_u64, any::<u64>()];
    let tokens = prop_oneof![5 => Just(Some(1)), 3 => Just(None), 1 => any::<Option<u32>>()];
    (gap, prop_oneof![5 => Just(0_u8), 1 => 0..3_u8], tokens)
}

fn chunks(of: &[(u64, u8, Option<u32>)]) -> Vec<Chunk> {
    let mut at = 0_u64;
    let channels = [OutputChannel::Content, OutputChannel::Reasoning, OutputChannel::Tool];
    let chunk = |(gap, channel, tokens): &(u64, u8, Option<u32>)| {
        at = at.wrapping_add(*gap);
        Chunk { at: Stamp(at), channel: channels[usize::from(*channel)], tokens: *tokens }
    };
    of.iter().map(chunk).collect()
}

proptest! {
    #[test]
    fn nothing_is_lost_in_any_form(made in prop::collection::vec(any_chunk(), 0..120)) {
        let plain = chunks(&made);
        let growing: Chunks = plain.iter().copied().collect();
        let mut packed = growing.clone();
        packed.pack();
        let store: Arc<dyn Store> = Arc::new(Shelf::default());
        let mut before = packed.clone();
        before.put_into(&store);
        let mut stored = growing.clone();
        stored.put_into(&store);
        let written = serde_json::to_string(&packed).unwrap();
        let read: Chunks = serde_json::from_str(&written).unwrap();
        let triples = serde_json::to_string(&plain).unwrap();
        let old: Chunks = serde_json::from_str(&triples).unwrap();
        for (name, form) in [("growing", &growing), ("packed", &packed), ("stored", &stored), ("read", &read), ("old", &old)] {
            prop_assert_eq!(form.iter().collect::<Vec<_>>(), plain.clone(), "{}", name);
            prop_assert_eq!(form.len(), plain.len(), "{}", name);
            prop_assert_eq!((form.first(), form.last()), (plain.first().copied(), plain.last().copied()), "{}", name);
            prop_assert_eq!(form.get(plain.len() / 2), plain.get(plain.len() / 2).copied(), "{}", name);
        }
        prop_assert_eq!(serde_json::to_string(&stored).unwrap(), written);
        let uncounted = stored.clone().uncounted();
        let bare: Vec<Chunk> = plain.iter().map(|chunk| Chunk { tokens: None, ..*chunk }).collect();
        prop_assert_eq!(uncounted.iter().collect::<Vec<_>>(), bare);
        let mut further = stored;
        let next = Chunk { at: Stamp(5), channel: OutputChannel::Tool, tokens: Some(7) };
        further.push(next);
        prop_assert_eq!(further.len(), plain.len() + 1);
        prop_assert_eq!(further.last(), Some(next));
    }

    #[test]
    fn no_bytes_make_reading_panic(line in "\\{\"first_ns\":[0-9]{1,20},\"gaps_ns\":\\[[-0-9,]{0,30}\\],\"channels\":\\[\\[\"(content|tool|x)\",[0-9]{1,20}\\]\\],\"tokens\":\\[\\[(null|[0-9]{1,12}),[0-9]{1,20}\\]\\]\\}") {
        let _ = serde_json::from_str::<Chunks>(&line);
    }
}

#[test]
fn a_hundred_tokens_ten_milliseconds_apart_take_three_bytes_each_and_a_line_says_so_plainly() {
    let chunk = |number: u64| Chunk {
        at: Stamp(5_000_000_000 + number * 10_000_000 + number * number % 977 * 1000),
        channel: OutputChannel::Content,
        tokens: Some(1),
    };
    let mut chunks: Chunks = (0..100).map(chunk).collect();
    chunks.pack();
    assert!(chunks.heap_bytes() <= 3 * 100 + 24, "{}", chunks.heap_bytes());
    let few: Chunks = (0..3).map(chunk).collect();
    assert_eq!(
        serde_json::to_string(&few).unwrap(),
        r#"{"first_ns":5000000000,"gaps_ns":[10001000,10003000],"channels":[["content",3]],"tokens":[[1,3]]}"#
    );
    assert_eq!(serde_json::to_string(&Chunks::default()).unwrap(), "null");
}

#[test]
fn numbers_that_do_not_add_up_are_refused_and_cost_no_memory() {
    for (line, said) in [
        (r#"{"first_ns":1,"gaps_ns":[1],"channels":[["content",1]],"tokens":[[null,2]]}"#, "`channels`"),
        (
            r#"{"first_ns":1,"gaps_ns":[1],"channels":[["content",2]],"tokens":[[null,18446744073709551615]]}"#,
            "`tokens`",
        ),
        (
            r#"{"first_ns":1,"gaps_ns":[],"channels":[["content",18446744073709551615],["tool",2]],"tokens":[[1,1]]}"#,
            "`channels`",
        ),
        (r#"{"gaps_ns":[1],"channels":[],"tokens":[]}"#, "first_ns"),
        ("7", "chunks: an object"),
    ] {
        let error = serde_json::from_str::<Chunks>(line).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
