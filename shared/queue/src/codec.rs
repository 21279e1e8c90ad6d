//! Hints as bytes: one byte of version, then bincode. This is the only place that knows bincode, so that a later
//! version may use something else: a reader ignores versions it does not know, which costs time and nothing else.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

use super::Hint;
use tideline_core::words::{JobId, Token};

const VERSION: u8 = 1;

/// Bytes that decoding may allocate: far above a full hint, far below harm.
const MAX_BYTES: usize = 256 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BYTES>> = bincode::config::standard().with_limit();

/// Why bytes are not a hint.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// From a newer program.
    #[error("unknown hint version {0}")]
    UnknownVersion(u8),
    /// Empty, cut, too long or not a hint at all.
    #[error("not a hint")]
    Malformed(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

#[derive(Encode)]
struct OutgoingV1<'a> {
    kind: &'a str,
    jobs: Vec<(i64, i64)>,
}

#[derive(Decode)]
struct IncomingV1 {
    kind: String,
    jobs: Vec<(i64, i64)>,
}

/// The bytes of a hint. Its trace context travels beside them.
///
/// # Errors
/// It is larger than any hint should be.
pub fn encode(kind: &str, jobs: &[(JobId, Token)]) -> Result<Vec<u8>, CodecError> {
    let wire = OutgoingV1 {
        kind,
        jobs: jobs.iter().map(|(job, token)| (job.0, token.0)).collect(),
    };
    let mut bytes = vec![VERSION];
    bytes.extend(bincode::encode_to_vec(wire, CONFIG).map_err(|error| CodecError::Malformed(Some(error.into())))?);
    Ok(bytes)
}

/// The hint in the bytes.
///
/// # Errors
/// They are not a hint that this program knows.
pub fn decode(bytes: &[u8], trace: Option<String>) -> Result<Hint, CodecError> {
    let (version, rest) = bytes.split_first().ok_or(CodecError::Malformed(None))?;
    if *version != VERSION {
        return Err(CodecError::UnknownVersion(*version));
    }
    let (wire, read): (IncomingV1, usize) =
        bincode::decode_from_slice(rest, CONFIG).map_err(|error| CodecError::Malformed(Some(error.into())))?;
    if read != rest.len() || wire.jobs.len() > Hint::MAX_JOBS {
        return Err(CodecError::Malformed(None));
    }
    Ok(Hint {
        kind: wire.kind,
        jobs: wire
            .jobs
            .into_iter()
            .map(|(job, token)| (JobId(job), Token(token)))
            .collect(),
        trace,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hint_comes_out_as_it_went_in(
            kind in ".{0,40}",
            jobs in prop::collection::vec((any::<i64>(), any::<i64>()), 0..=Hint::MAX_JOBS),
        ) {
            let jobs: Vec<_> = jobs.into_iter().map(|(job, token)| (JobId(job), Token(token))).collect();
            let bytes = encode(&kind, &jobs).unwrap();
            let hint = decode(&bytes, Some("t".into())).unwrap();
            prop_assert_eq!(hint, Hint { kind, jobs, trace: Some("t".into()) });
        }

        #[test]
        fn no_bytes_make_it_panic_or_allocate_without_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = vec![VERSION];
            framed.extend(&bytes);
            for input in [&bytes, &framed] {
                if let Ok(hint) = decode(input, None) {
                    prop_assert!(hint.jobs.len() <= Hint::MAX_JOBS);
                }
            }
        }

        #[test]
        fn a_cut_hint_is_no_hint(jobs in prop::collection::vec((any::<i64>(), any::<i64>()), 1..20), cut in 1_usize..20) {
            let jobs: Vec<_> = jobs.into_iter().map(|(job, token)| (JobId(job), Token(token))).collect();
            let bytes = encode("k", &jobs).unwrap();
            let kept = bytes.len().saturating_sub(cut);
            prop_assert!(decode(&bytes[..kept], None).is_err());
        }
    }

    #[test]
    fn a_version_of_the_future_is_named() {
        assert!(matches!(decode(&[2, 0, 0], None), Err(CodecError::UnknownVersion(2))));
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        // Kind of length 0, then 2^62 jobs.
        let mut bytes = vec![VERSION, 0, 253];
        bytes.extend((1_u64 << 62).to_le_bytes());
        assert!(matches!(decode(&bytes, None), Err(CodecError::Malformed(_))));
    }
}
