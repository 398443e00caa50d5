//! An object is an object: serde would also read a struct from an array, member by member, and so
//! take what the description refuses.

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Visitor;
use serde::forward_to_deserialize_any;

/// Reads a value from an object only.
#[derive(Debug)]
pub struct Object<D>(pub D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// A value that is read from an object only.
struct One<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(Object(from)).map(Self)
    }
}

/// For a member that is an object.
pub(crate) fn one<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(Object(from))
}

/// For a member that is an object, if it is there.
pub(crate) fn maybe<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<One<T>>::deserialize(from)?.map(|one| one.0))
}

/// For a member that is a list of objects.
pub(crate) fn all<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<One<T>>::deserialize(from)?.into_iter().map(|one| one.0).collect())
}

#[cfg(test)]
mod tests {
    use crate::message::InjectRequest;

    #[test]
    fn an_array_is_no_object_wherever_it_stands() {
        let read = |text: &str| serde_json::from_str::<InjectRequest>(text).is_ok();
        let from = r#""from":{"email":"a@b.example"}"#;
        assert!(read(&format!(r#"{{{from},"recipients":[{{"email":"c@d.example"}}]}}"#)));
        assert!(read(&format!(r#"{{{from},"reply_to":null,"recipients":[]}}"#)));
        for bad in [
            r#"{"from":["a@b.example"],"recipients":[]}"#.to_owned(),
            format!(r#"{{{from},"reply_to":["a@b.example"],"recipients":[]}}"#),
            format!(r#"{{{from},"recipients":[["c@d.example"]]}}"#),
            format!(r#"{{{from},"recipients":[],"track":[true,true]}}"#),
            format!(r#"{{{from},"recipients":[],"template":["a"]}}"#),
            format!(r#"{{{from},"recipients":[],"headers":[["X-A","b"]]}}"#),
            format!(r#"{{{from},"recipients":[],"attachments":[["a","b/c","d"]]}}"#),
        ] {
            assert!(!read(&bad), "{bad}");
        }
    }
}
