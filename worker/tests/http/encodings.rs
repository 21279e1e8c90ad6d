//! Answers in gzip, brotli and zstd, made by hand from stored blocks.

use axum::body::Body;
use axum::response::Response;
use serde_json::json;
use tideline_config::settings::Pagination;
use tideline_worker::ErrorClass;

use crate::api::*;

/// RFC 1952 around one stored block of RFC 1951, section 3.2.4.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(data);
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// RFC 7932, section 9: a window of 16 bits, one uncompressed meta-block, an empty last one.
fn brotli(data: &[u8]) -> Vec<u8> {
    let head = (u32::try_from(data.len()).unwrap() - 1) << 4 | 1 << 20;
    let mut out = head.to_le_bytes()[..3].to_vec();
    out.extend(data);
    out.push(3);
    out
}

/// RFC 8878, section 3.1.1: a single segment with one raw block; data of less than 256 bytes.
fn zstd(data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, length];
    let block = u32::from(length) << 3 | 1;
    out.extend(&block.to_le_bytes()[..3]);
    out.extend(data);
    out
}

type Encode = fn(&[u8]) -> Vec<u8>;

const ENCODINGS: [(&str, Encode); 3] = [("gzip", gzip), ("br", brotli), ("zstd", zstd)];

fn encoded(name: &str, body: Vec<u8>) -> Response {
    Response::builder()
        .header("content-encoding", name)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test]
async fn gzip_brotli_and_zstd_are_asked_for_and_read() {
    for (name, encode) in ENCODINGS {
        let api = Api::start(move |seen| {
            assert!(seen.header("accept-encoding").unwrap().contains(name));
            encoded(name, encode(json!(components(0, 2)).to_string().as_bytes()))
        })
        .await;
        let page = first(&open(things(&api.url, Pagination::None))).await.unwrap();
        assert_eq!(references(&page).len(), 2, "{name}");
    }
}

#[tokio::test]
async fn an_encoded_body_that_was_cut_is_transient() {
    for (name, encode) in ENCODINGS {
        let api = Api::start(move |_| {
            let mut body = encode(json!(components(0, 2)).to_string().as_bytes());
            body.truncate(60);
            encoded(name, body)
        })
        .await;
        let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
        assert!(matches!(error.class, ErrorClass::Transient { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_limit_counts_what_is_unpacked() {
    let api = Api::start(|_| {
        let body = json!(components(0, 200)).to_string();
        encoded("gzip", gzip(body.as_bytes()))
    })
    .await;
    let mut settings = things(&api.url, Pagination::None);
    settings.max_body_bytes = 1000;
    let error = first(&open(settings)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains("max_body_bytes"), "{error}");
}
