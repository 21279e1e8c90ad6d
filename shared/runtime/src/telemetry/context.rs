//! W3C trace context in and out of strings: <https://www.w3.org/TR/trace-context/>. It travels in the headers of the
//! queue and in the rows of jobs.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `traceparent` of the span the caller is in; none without one, or without telemetry.
#[must_use]
pub fn current() -> Option<String> {
    of(&Span::current())
}

/// `traceparent` of a span.
#[must_use]
pub fn of(span: &Span) -> Option<String> {
    format(span.context().span().span_context())
}

/// A `traceparent` of version 00; none for an invalid context.
#[must_use]
pub fn format(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| {
        let flags = context.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
    })
}

/// Reads a `traceparent`. Later versions are read as far as version 00 goes, as the specification asks for.
#[must_use]
pub fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut fields = traceparent.trim().split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let too_long = version == "00" && fields.next().is_some();
    let lengths = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    let lower_hex = [version, trace, span, flags]
        .iter()
        .all(|field| field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    if too_long || !lengths || !lower_hex || version == "ff" {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

/// Makes a new span a child of what the `traceparent` names. Does nothing with one that cannot be read.
pub fn adopt(span: &Span, traceparent: Option<&str>) {
    if let Some(context) = traceparent.and_then(parse) {
        // Fails only for a span that has started already or is disabled; then it stays as it is.
        let _ = span.set_parent(Context::new().with_remote_span_context(context));
    }
}

/// Links a span, which may be a trace of its own, to what the `traceparent` names.
pub fn link(span: &Span, traceparent: Option<&str>) {
    if let Some(context) = traceparent.and_then(parse) {
        span.add_link(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_comes_out_as_it_went_in() {
        assert_eq!(parse(GOOD).as_ref().and_then(format).as_deref(), Some(GOOD));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GOOD.replacen("00", "cc", 1) + "-what-comes";
        assert_eq!(parse(&later).as_ref().and_then(format).as_deref(), Some(GOOD));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let (upper, longer, forbidden) = (GOOD.to_uppercase(), format!("{GOOD}-1"), GOOD.replacen("00", "ff", 1));
        for bad in [
            "",
            "00",
            zero_trace,
            zero_span,
            &upper,
            &longer,
            &forbidden,
            "00-+af-b7-01",
            "é",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
