//! Log lines: those of `tracing-subscriber`, with the trace and span they belong to at the end.

use std::fmt;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TraceContextExt;
use tracing::dispatcher::WeakDispatch;
use tracing::{Dispatch, Event, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// A layer that keeps hold of the dispatch it is in: a format is not told, and asking for the current one gives none
/// while an event is on its way.
#[derive(Clone, Default)]
pub(super) struct Dispatched(Arc<OnceLock<WeakDispatch>>);

impl<S: Subscriber> Layer<S> for Dispatched {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.0.set(dispatch.downgrade());
    }
}

/// Adds `trace_id` and `span_id` to what the inner format writes: text or JSON, one line per event.
pub(super) struct WithTrace<F> {
    pub(super) inner: F,
    pub(super) json: bool,
    pub(super) dispatched: Dispatched,
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some((trace, span)) = ids(ctx, &self.dispatched) else {
            return self.inner.format_event(ctx, writer, event);
        };
        let mut line = String::with_capacity(256);
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match line.strip_suffix('}').filter(|_| self.json) {
            Some(open) => writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#),
            None => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

fn ids<S, N>(ctx: &FmtContext<'_, S, N>, dispatched: &Dispatched) -> Option<(String, String)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let id = ctx.lookup_current()?.id();
    let context = get_otel_context(&id, &dispatched.0.get()?.upgrade()?)?;
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid()
        .then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
}

#[cfg(test)]
mod tests {
    use std::io;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use parking_lot::Mutex;
    use tracing_subscriber::fmt::format::{Format, JsonFields};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::context;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged outside of and inside a span, and that span's `traceparent`.
    fn log(json: bool) -> (Vec<String>, String) {
        let lines = Lines::default();
        let dispatched = Dispatched::default();
        let provider = SdkTracerProvider::builder().build();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        let layer = if json {
            let inner = Format::default().json().flatten_event(true);
            layer
                .fmt_fields(JsonFields::new())
                .event_format(WithTrace {
                    inner,
                    json,
                    dispatched: dispatched.clone(),
                })
                .boxed()
        } else {
            let inner = Format::default();
            layer
                .event_format(WithTrace {
                    inner,
                    json,
                    dispatched: dispatched.clone(),
                })
                .boxed()
        };
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(dispatched).with(traces).with(layer);
        let traceparent = tracing::subscriber::with_default(subscriber, || {
            tracing::info!(n = 1, "outside");
            let span = tracing::info_span!("work");
            let _entered = span.enter();
            tracing::info!(n = 2, "inside }}");
            context::current().unwrap()
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        (text.lines().map(str::to_owned).collect(), traceparent)
    }

    #[test]
    fn a_text_line_ends_with_the_trace_it_belongs_to() {
        let (lines, traceparent) = log(false);
        let ids: Vec<&str> = traceparent.split('-').collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("outside n=1"), "{}", lines[0]);
        assert!(
            lines[1].ends_with(&format!("trace_id={} span_id={}", ids[1], ids[2])),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn a_json_line_stays_json_and_has_the_trace_it_belongs_to() {
        let (lines, traceparent) = log(true);
        let ids: Vec<&str> = traceparent.split('-').collect();
        let parsed: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((parsed[0]["n"].as_i64(), parsed[0].get("trace_id")), (Some(1), None));
        assert_eq!(parsed[1]["message"], "inside }");
        assert_eq!(
            (parsed[1]["trace_id"].as_str(), parsed[1]["span_id"].as_str()),
            (Some(ids[1]), Some(ids[2]))
        );
    }
}
