//! Errors of the client as ours: which of them a person has to act on, and what that person should do.

use std::error::Error;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::{ConnectError, ConnectErrorKind, jetstream};
use rustls::InvalidMessage;

use super::super::QueueError;
use super::options::refuse;
pub(super) use tideline_core::full_text;
use tideline_core::words::NatsAddress;

pub(super) fn unavailable(act: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> QueueError {
    QueueError::Unavailable {
        act,
        source: source.into(),
    }
}

/// A refusal to connect that trying again will not change.
pub(super) fn of_connecting(error: &ConnectError) -> Option<QueueError> {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => Some(refuse(
            "NATS rejects the credentials; check user and password or token in the URL, or the file in option creds \
             or nkey",
        )),
        ConnectErrorKind::Authentication => Some(refuse(
            "the credentials cannot be used; check the file in option creds or nkey",
        )),
        ConnectErrorKind::ServerParse => Some(refuse("the URL cannot be read")),
        ConnectErrorKind::Tls => Some(refuse(format_args!(
            "TLS cannot be set up ({}); check options ca, cert and key",
            full_text(error)
        ))),
        _ => match tls_error(error)? {
            rustls::Error::InvalidCertificate(why) => Some(refuse(format_args!(
                "the certificate of NATS is not trusted ({why}); check the host name in the URL and option ca"
            ))),
            // The answer to our hello is plain text.
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(refuse(
                "the URL requires TLS, but NATS does not use it at this address; configure the tls block of \
                 nats-server, or start the URL with nats:// instead of tls://",
            )),
            _ => None,
        },
    }
}

/// What went wrong while TLS was set up with the server.
fn tls_error(error: &ConnectError) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        let tls = inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if tls.is_some() {
            return tls;
        }
        source = inner.source();
    }
    None
}

/// What JetStream answered; only a person can change some of these.
pub(super) fn of_jetstream(act: &'static str, error: jetstream::Error, address: &NatsAddress) -> QueueError {
    match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => no_jetstream(),
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => refuse(format_args!(
            "JetStream has too little file storage for {} bytes; raise max_file_store of the server or the account's \
             limits, or lower option max_bytes",
            address.max_bytes
        )),
        ErrorCode::MAXIMUM_STREAMS_LIMIT | ErrorCode::MAXIMUM_CONSUMERS_LIMIT => refuse(
            "the NATS account cannot have more streams or consumers; Tideline needs one stream and one consumer per \
             kind of job",
        ),
        ErrorCode::STREAM_SUBJECT_OVERLAP => refuse(format_args!(
            "another stream uses the subjects {}.hints.*; choose another prefix option",
            address.prefix
        )),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => refuse("option replicas above 1 needs a NATS cluster"),
        _ => unavailable(act, error),
    }
}

pub(super) fn no_jetstream() -> QueueError {
    refuse("NATS runs without JetStream; start nats-server with -js and a storage folder, or enable it for the account")
}

/// Why a consumer could not be made, and whether its stream is missing.
pub(super) fn of_consumer(
    error: async_nats::jetstream::stream::ConsumerError,
    address: &NatsAddress,
) -> (QueueError, bool) {
    const ACT: &str = "make a consumer";
    match error.kind() {
        ConsumerErrorKind::JetStream(answer) => {
            let missing = answer.error_code() == ErrorCode::STREAM_NOT_FOUND;
            (of_jetstream(ACT, answer, address), missing)
        }
        _ => (unavailable(ACT, error), false),
    }
}
