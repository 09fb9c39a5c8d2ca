//! Device numbers as configs write them: a list, one integer, or a string such as `0, 1, 2`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Numbers of devices, in the order given. Always written as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DeviceIds(pub Vec<u32>);

impl Default for DeviceIds {
    /// The first device.
    fn default() -> Self {
        Self(vec![0])
    }
}

impl DeviceIds {
    /// The numbers in a string with commas, spaces or brackets: `0, 1`, `[0,1]`, `2`.
    ///
    /// # Errors
    /// One line that names the part that is no number, or says that there is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
        let ids = inner
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse::<u32>().map_err(|_| format!("`{part}` is no device number")))
            .collect::<Result<Vec<_>, _>>()?;
        Self::checked(ids)
    }

    fn checked(ids: Vec<u32>) -> Result<Self, String> {
        for (position, id) in ids.iter().enumerate() {
            if ids[..position].contains(id) {
                return Err(format!("device {id} stands twice"));
            }
        }
        if ids.is_empty() { Err("no device is named".to_owned()) } else { Ok(Self(ids)) }
    }
}

impl<'de> Deserialize<'de> for DeviceIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;
        impl<'de> Visitor<'de> for AnyForm {
            type Value = DeviceIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("device numbers: a list, one integer, or a string like `0, 1, 2`")
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<DeviceIds, E> {
                let id = u32::try_from(id).map_err(|_| E::custom(format!("{id} is no device number")))?;
                Ok(DeviceIds(vec![id]))
            }

            fn visit_i64<E: Error>(self, id: i64) -> Result<DeviceIds, E> {
                let id = u32::try_from(id).map_err(|_| E::custom(format!("{id} is no device number")))?;
                Ok(DeviceIds(vec![id]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DeviceIds, E> {
                DeviceIds::parse(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<DeviceIds, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element()? {
                    ids.push(id);
                }
                DeviceIds::checked(ids).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(AnyForm)
    }
}

impl JsonSchema for DeviceIds {
    fn schema_name() -> Cow<'static, str> {
        "DeviceIds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": true},
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*\[?\s*\d+([\s,]+\d+)*\s*\]?\s*$"},
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn every_form_means_the_same_and_is_written_as_a_list() {
        for form in [json!([0, 1, 2]), json!("0, 1, 2"), json!("0,1,2"), json!("[0, 1, 2]"), json!("0 1 2")] {
            let ids: DeviceIds = serde_json::from_value(form.clone()).unwrap();
            assert_eq!(serde_json::to_value(&ids).unwrap(), json!([0, 1, 2]), "{form}");
        }
        let one: DeviceIds = serde_json::from_value(json!(3)).unwrap();
        assert_eq!(one, DeviceIds(vec![3]));
    }

    #[test]
    fn what_names_no_device_is_refused() {
        for (form, said) in [
            (json!([]), "no device"),
            (json!(""), "no device"),
            (json!("0, x"), "`x`"),
            (json!(-1), "-1"),
            (json!([0, 0]), "twice"),
            (json!(1.5), "a list, one integer, or a string"),
        ] {
            let error = serde_json::from_value::<DeviceIds>(form.clone()).unwrap_err().to_string();
            assert!(error.contains(said), "{form}: {error}");
        }
    }

    #[test]
    fn the_schema_names_the_three_forms() {
        let schema = Value::from(schemars::schema_for!(DeviceIds));
        let kinds: Vec<_> =
            schema["anyOf"].as_array().unwrap().iter().map(|form| form["type"].clone()).collect();
        assert_eq!(kinds, [json!("array"), json!("integer"), json!("string")]);
    }

    proptest::proptest! {
        #[test]
        fn a_list_survives_its_text(ids in proptest::collection::btree_set(0u32..4096, 1..9)) {
            let ids: Vec<u32> = ids.into_iter().collect();
            let text = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            proptest::prop_assert_eq!(DeviceIds::parse(&text), Ok(DeviceIds(ids)));
        }
    }
}
