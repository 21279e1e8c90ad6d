//! The protocol between parent and child: a length of eight bytes, then bincode.

use std::io::{self, Read, Write};

use bincode::{Decode, Encode};

/// Many inputs and the programs to run on each: one round trip.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Batch {
    /// The programs; inputs name them by their place in this list.
    pub calls: Vec<Call>,
    /// What `$parent` is, as JSON text.
    pub parent: String,
    /// What `$lookup` is, as JSON text.
    pub lookup: String,
    /// What the programs run on.
    pub inputs: Vec<Input>,
    /// Outputs of one program that are read at most.
    pub max_outputs: u32,
    /// Bytes of all outputs together.
    pub max_bytes: u64,
}

/// A program, and how much of its output is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Call {
    /// The jq text.
    pub program: String,
    /// Which outputs.
    pub take: Take,
}

/// Which outputs of a program are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Take {
    /// The first; the program stops there.
    First,
    /// All of them.
    All,
    /// All of them; if there is exactly one and it is an array, its elements.
    Elements,
}

/// One input.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Input {
    /// JSON text.
    pub text: String,
    /// Places of the programs in [`Batch::calls`].
    pub calls: Vec<u32>,
}

/// What became of one program on one input.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// Its outputs as JSON texts, numbers as the input wrote them.
    Values(Vec<String>),
    /// The one output was an array; its elements ([`Take::Elements`]).
    Elements(Vec<String>),
    /// It failed on this input.
    Failed(String),
}

/// From parent to child.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Request {
    pub(crate) batch: Batch,
    /// A child that is not done by then ends itself: its parent may be gone.
    pub(crate) timeout_ms: u64,
}

/// From child to parent.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Reply {
    /// For each input an outcome per program.
    Done(Vec<Vec<Outcome>>),
    /// The outputs have more than [`Batch::max_bytes`].
    TooLarge,
}

/// A frame with its length in front.
pub(crate) fn encode(message: &impl Encode) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 8];
    bincode::encode_into_std_write(message, &mut frame, bincode::config::standard()).map_err(io::Error::other)?;
    let length = (frame.len() - 8) as u64;
    frame[..8].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// What a frame without its length says.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> io::Result<T> {
    bincode::decode_from_slice(bytes, bincode::config::standard())
        .map(|(message, _)| message)
        .map_err(io::Error::other)
}

/// Reads a frame; none at the end of the stream.
pub(crate) fn read<T: Decode<()>>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = Vec::new();
    let length = u64::from_be_bytes(length);
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Ok(None);
    }
    decode(&bytes).map(Some)
}

/// Writes a frame.
pub(crate) fn write(to: &mut impl Write, message: &impl Encode) -> io::Result<()> {
    to.write_all(&encode(message)?)?;
    to.flush()
}
