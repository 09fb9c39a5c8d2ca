//! Conversations in the two shapes that data sets use, as messages to send.
//!
//! OpenAI's shape (`role`, `content`) is sent whole, less the answers at its end: those are what the model is to
//! write. ShareGPT's shape (`from`, `value`) gives its first human turn, with the system turn before it where there
//! is one: that is what other benchmark tools send, so figures compare. Refuses to know where a conversation was read.

use ai_energy_core::{Message, Role};
use serde_json::Value;

/// A conversation as it will be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Conversation {
    /// Empty where nobody asks anything.
    pub(crate) messages: Vec<Message>,
    /// Answers at the end were left out.
    pub(crate) cut: bool,
}

/// Reads a list of turns.
///
/// # Errors
/// Says what is wrong with which turn, counted from 1.
pub(crate) fn read(turns: &[Value]) -> Result<Conversation, String> {
    let sharegpt = turns.first().is_some_and(|turn| turn.get("from").is_some());
    let messages = turns
        .iter()
        .enumerate()
        .map(|(position, turn)| read_turn(turn).map_err(|cause| format!("turn {}: {cause}", position + 1)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(if sharegpt { first_question(messages) } else { up_to_last_question(messages) })
}

/// The first human turn and what the system said before it.
fn first_question(messages: Vec<Message>) -> Conversation {
    let Some(at) = messages.iter().position(|message| message.role == Role::User) else {
        return Conversation { messages: Vec::new(), cut: false };
    };
    let messages =
        messages.into_iter().take(at + 1).filter(|message| message.role != Role::Assistant).collect();
    Conversation { messages, cut: false }
}

/// Everything up to the last human turn.
fn up_to_last_question(mut messages: Vec<Message>) -> Conversation {
    let before = messages.len();
    let end = messages.iter().rposition(|message| message.role == Role::User).map_or(0, |at| at + 1);
    messages.truncate(end);
    Conversation { cut: end > 0 && end < before, messages }
}

fn read_turn(turn: &Value) -> Result<Message, String> {
    let Value::Object(fields) = turn else {
        return Err("is no object with `role` and `content`, or `from` and `value`".to_owned());
    };
    let speaker = fields.get("role").or_else(|| fields.get("from")).and_then(Value::as_str);
    let Some(speaker) = speaker else {
        return Err("does not say who speaks (`role` or `from`)".to_owned());
    };
    let said = fields.get("content").or_else(|| fields.get("value"));
    let content = match said {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => join_parts(parts)?,
        Some(Value::Null) | None => String::new(),
        Some(_) => return Err("its content is neither a text nor a list of parts".to_owned()),
    };
    Ok(Message { role: role(speaker)?, content })
}

/// The text parts of a message in OpenAI's list form.
fn join_parts(parts: &[Value]) -> Result<String, String> {
    let texts = parts.iter().map(|part| match part.get("text").and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
            Err(format!("has a part of type `{kind}`; only text can be sent"))
        }
    });
    texts.collect::<Result<Vec<_>, _>>().map(|texts| texts.concat())
}

/// The role behind the words that data sets use.
fn role(word: &str) -> Result<Role, String> {
    match word.to_ascii_lowercase().as_str() {
        "system" | "developer" => Ok(Role::System),
        "user" | "human" => Ok(Role::User),
        "assistant" | "gpt" | "chatgpt" | "bing" | "bard" | "model" => Ok(Role::Assistant),
        _ => Err(format!("speaker `{word}` is not known; use system, user (human) or assistant (gpt)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(turns: Value) -> Result<Conversation, String> {
        read(turns.as_array().unwrap())
    }

    fn said(conversation: &Conversation) -> Vec<(&'static str, &str)> {
        conversation.messages.iter().map(|m| (m.role.word(), m.content.as_str())).collect()
    }

    #[test]
    fn openai_messages_go_whole_less_the_last_answer() {
        let conversation = read_json(json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A?"},
            {"role": "assistant", "content": "B."},
            {"role": "user", "content": [{"type": "text", "text": "C"}, {"type": "text", "text": "?"}]},
            {"role": "assistant", "content": "D."},
        ]))
        .unwrap();
        assert_eq!(
            said(&conversation),
            [("system", "Be brief."), ("user", "A?"), ("assistant", "B."), ("user", "C?")]
        );
        assert!(conversation.cut);
    }

    #[test]
    fn sharegpt_gives_the_first_human_turn_and_its_system_turn() {
        let conversation = read_json(json!([
            {"from": "system", "value": "Be kind."},
            {"from": "gpt", "value": "Hello!"},
            {"from": "human", "value": "A?"},
            {"from": "gpt", "value": "B."},
            {"from": "human", "value": "C?"},
        ]))
        .unwrap();
        assert_eq!(said(&conversation), [("system", "Be kind."), ("user", "A?")]);
    }

    #[test]
    fn a_conversation_without_a_question_is_empty() {
        for turns in
            [json!([]), json!([{"from": "gpt", "value": "B."}]), json!([{"role": "system", "content": "x"}])]
        {
            let conversation = read_json(turns).unwrap();
            assert_eq!(conversation, Conversation { messages: Vec::new(), cut: false });
        }
    }

    #[test]
    fn unusable_turns_say_which_and_why() {
        for (turns, cause) in [
            (
                json!([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]),
                "turn 2: speaker `tool`",
            ),
            (
                json!([{"role": "user", "content": [{"type": "image_url"}]}]),
                "turn 1: has a part of type `image_url`",
            ),
            (json!([{"content": "x"}]), "turn 1: does not say who speaks"),
            (json!(["x"]), "turn 1: is no object"),
            (json!([{"role": "user", "content": 5}]), "turn 1: its content is neither"),
        ] {
            let error = read_json(turns).unwrap_err();
            assert!(error.starts_with(cause), "{error}");
        }
    }
}
