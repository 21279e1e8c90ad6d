use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A W3C `traceparent` of version 00 (<https://www.w3.org/TR/trace-context/>) that is small enough to be copied around.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; Self::LENGTH]);

impl TraceParent {
    const LENGTH: usize = 55;

    /// None for a text that is not as long as a `traceparent` of version 00, or has other characters in it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let bytes = text.as_bytes().try_into().ok()?;
        text.bytes().all(fits).then_some(Self(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// For `deserialize_with`: what is no `traceparent` is none, since work must not fail because of its trace.
    pub(super) fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.and_then(|text| Self::new(&text)))
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Progress;
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn progress_keeps_a_trace_and_does_without_a_broken_one() {
        let progress = Progress {
            trace: TraceParent::new(GOOD),
            ..Progress::default()
        };
        let text = serde_json::to_string(&progress).unwrap();
        assert!(text.contains(GOOD), "{text}");
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let broken = text.replace(GOOD, "00-é");
        assert_eq!(serde_json::from_str::<Progress>(&broken).unwrap(), Progress::default());
        let none = serde_json::to_string(&Progress::default()).unwrap();
        assert!(!none.contains("trace"), "{none}");
        assert_eq!(serde_json::from_str::<Progress>(&none).unwrap(), Progress::default());
    }
}
