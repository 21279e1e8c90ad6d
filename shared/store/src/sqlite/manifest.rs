//! Key hashes as bytes: 8 each, big-endian.

use tideline_core::words::KeyHash;

const WIDTH: usize = size_of::<i64>();

/// The hashes as bytes.
pub(super) fn pack_hashes(hashes: impl ExactSizeIterator<Item = KeyHash>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * WIDTH);
    for hash in hashes {
        bytes.extend_from_slice(&hash.0.to_be_bytes());
    }
    bytes
}

/// The hashes in the bytes.
pub(super) fn unpack_hashes(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes
        .as_chunks::<WIDTH>()
        .0
        .iter()
        .map(|hash| i64::from_be_bytes(*hash))
}
