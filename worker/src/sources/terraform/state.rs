//! Reads a Terraform state (version 4) as a stream: one resource is in memory at a time, and of its instances only what
//! is wanted and may be shown. What Terraform adds to the format is skipped. No error shows anything of the content.
//!
//! The format: `internal/states/statefile/version4.go` in Terraform's sources.

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::glob::Globs;
use super::sensitive;

/// A larger attribute is left out: it is a document of its own. In bytes, as JSON.
const MAX_ATTRIBUTE_BYTES: usize = 16 << 10;

/// What a state says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u64,
    pub(super) terraform_version: String,
    pub(super) serial: u64,
    pub(super) lineage: String,
}

/// What the instances of a resource have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    /// Address of the module instance; empty: the root module.
    pub(super) module: String,
    /// `managed` or `data`.
    pub(super) mode: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) provider: String,
}

/// One instance.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// `[0]`, `["key"]`, or nothing.
    pub(super) index: String,
    pub(super) is_tainted: bool,
    /// An object that waits for its removal; another one has its place.
    pub(super) is_deposed: bool,
    /// The wanted ones as JSON text of an object, without secrets.
    pub(super) attributes: String,
    /// Addresses of resources, as the configuration has them.
    pub(super) dependencies: Vec<String>,
}

/// What is taken of a state.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Top-level attributes.
    pub(super) attributes: Globs,
    /// Outputs.
    pub(super) outputs: Globs,
    /// Names that are secret besides those that sound so.
    pub(super) denied: Globs,
}

/// Takes what is found, in order of the state.
pub(super) trait Sink {
    /// An output that may be shown.
    fn output(&mut self, name: &str, value: Value);
    /// A resource with its instances.
    fn resource(&mut self, resource: &Resource, instances: Vec<Instance>);
}

/// Why a state cannot be read. Without anything of its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StateError {
    /// It ends too early, or its reader failed: another try may do better.
    #[error("the state was cut at line {line}, column {column}")]
    Cut {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// It is not a state of version 4.
    #[error("the state cannot be read: {why} (line {line}, column {column})")]
    Wrong {
        /// What of it.
        why: &'static str,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
}

/// Reads a state to its end.
///
/// # Errors
/// As [`StateError`].
pub(super) fn read_state(input: impl Read, wanted: &Wanted, sink: &mut dyn Sink) -> Result<Header, StateError> {
    let mut header = Header::default();
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(input));
    let seed = StateSeed {
        header: &mut header,
        wanted,
        sink,
    };
    let read = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| state_error(&error))?;
    if header.version != 4 {
        return Err(StateError::Wrong {
            why: "its `version` is not 4, which Terraform writes since 0.12",
            line: 1,
            column: 1,
        });
    }
    Ok(header)
}

/// The text of the error may quote a value, so only its kind and place are told.
fn state_error(error: &serde_json::Error) -> StateError {
    use serde_json::error::Category::{Data, Eof, Io, Syntax};
    let (line, column) = (error.line(), error.column());
    let why = match error.classify() {
        Io | Eof => return StateError::Cut { line, column },
        Syntax => "it is not JSON",
        Data => "a member is not of the type that version 4 has",
    };
    StateError::Wrong { why, line, column }
}

/// Reads an object member by member, or a list element by element; null, which Go writes for an empty one, is empty.
macro_rules! streamed {
    ($seed:ty, $what:literal, $method:ident, $access:ident, |$this:ident, $from:ident| $body:expr) => {
        impl<'de> Visitor<'de> for $seed {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($what)
            }

            fn $method<A: $access<'de>>(self, mut $from: A) -> Result<(), A::Error> {
                let $this = self;
                $body
            }

            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }
        }

        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }
    };
}

struct StateSeed<'s> {
    header: &'s mut Header,
    wanted: &'s Wanted,
    sink: &'s mut dyn Sink,
}

streamed!(StateSeed<'_>, "a state", visit_map, MapAccess, |this, map| {
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "version" => this.header.version = map.next_value()?,
            "terraform_version" => this.header.terraform_version = text(map.next_value()?),
            "serial" => this.header.serial = map.next_value()?,
            "lineage" => this.header.lineage = text(map.next_value()?),
            "outputs" => map.next_value_seed(OutputsSeed {
                wanted: this.wanted,
                sink: &mut *this.sink,
            })?,
            "resources" => map.next_value_seed(ResourcesSeed {
                wanted: this.wanted,
                sink: &mut *this.sink,
            })?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    Ok(())
});

struct OutputsSeed<'s> {
    wanted: &'s Wanted,
    sink: &'s mut dyn Sink,
}

streamed!(OutputsSeed<'_>, "outputs", visit_map, MapAccess, |this, map| {
    while let Some(name) = map.next_key::<String>()? {
        let denied = &this.wanted.denied;
        if sensitive::sounds_secret(&name) || denied.matches(&name) || !this.wanted.outputs.matches(&name) {
            map.next_value::<IgnoredAny>()?;
            continue;
        }
        let mut output: Map<String, Value> = map.next_value()?;
        // Whatever is not plainly false hides it.
        let shown = matches!(output.get("sensitive"), None | Some(Value::Null | Value::Bool(false)));
        if let Some(mut value) = output.remove("value").filter(|_| shown) {
            sensitive::strip_value(&mut value, denied);
            this.sink.output(&name, value);
        }
    }
    Ok(())
});

struct ResourcesSeed<'s> {
    wanted: &'s Wanted,
    sink: &'s mut dyn Sink,
}

streamed!(
    ResourcesSeed<'_>,
    "a list of resources",
    visit_seq,
    SeqAccess,
    |this, seq| {
        while let Some(()) = seq.next_element_seed(ResourceSeed {
            wanted: this.wanted,
            sink: &mut *this.sink,
        })? {}
        Ok(())
    }
);

struct ResourceSeed<'s> {
    wanted: &'s Wanted,
    sink: &'s mut dyn Sink,
}

streamed!(ResourceSeed<'_>, "a resource", visit_map, MapAccess, |this, map| {
    let (mut resource, mut instances) = (Resource::default(), Vec::new());
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "module" => resource.module = text(map.next_value()?),
            "mode" => resource.mode = map.next_value()?,
            "type" => resource.kind = map.next_value()?,
            "name" => resource.name = map.next_value()?,
            "provider" => resource.provider = text(map.next_value()?),
            "instances" => map.next_value_seed(InstancesSeed {
                wanted: this.wanted,
                instances: &mut instances,
            })?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    this.sink.resource(&resource, instances);
    Ok(())
});

struct InstancesSeed<'s> {
    wanted: &'s Wanted,
    instances: &'s mut Vec<Instance>,
}

streamed!(
    InstancesSeed<'_>,
    "a list of instances",
    visit_seq,
    SeqAccess,
    |this, seq| {
        while let Some(()) = seq.next_element_seed(InstanceSeed {
            wanted: this.wanted,
            instances: &mut *this.instances,
        })? {}
        Ok(())
    }
);

struct InstanceSeed<'s> {
    wanted: &'s Wanted,
    instances: &'s mut Vec<Instance>,
}

streamed!(InstanceSeed<'_>, "an instance", visit_map, MapAccess, |this, map| {
    let mut instance = Instance::default();
    let (mut attributes, mut marks) = (Map::new(), None);
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "index_key" => instance.index = index(&map.next_value()?),
            "status" => instance.is_tainted = text(map.next_value()?) == "tainted",
            "deposed" => instance.is_deposed = !text(map.next_value()?).is_empty(),
            // Flat ones are from Terraform before 0.12.
            "attributes" | "attributes_flat" => map.next_value_seed(AttributesSeed {
                wanted: this.wanted,
                attributes: &mut attributes,
            })?,
            "sensitive_attributes" => marks = map.next_value()?,
            "dependencies" => instance.dependencies = map.next_value::<Option<_>>()?.unwrap_or_default(),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    sensitive::strip(&mut attributes, marks.as_ref(), &this.wanted.denied);
    attributes.retain(|_, value| !value.is_null() && value.to_string().len() <= MAX_ATTRIBUTE_BYTES);
    if !attributes.is_empty() {
        instance.attributes = Value::Object(attributes).to_string();
    }
    this.instances.push(instance);
    Ok(())
});

struct AttributesSeed<'s> {
    wanted: &'s Wanted,
    attributes: &'s mut Map<String, Value>,
}

streamed!(AttributesSeed<'_>, "attributes", visit_map, MapAccess, |this, map| {
    while let Some(name) = map.next_key::<String>()? {
        if this.wanted.attributes.matches(&name) {
            let value = map.next_value()?;
            this.attributes.insert(name, value);
        } else {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(())
});

fn text(value: Option<String>) -> String {
    value.unwrap_or_default()
}

/// An index as an address has it.
fn index(key: &Value) -> String {
    match key {
        Value::Null => String::new(),
        // A text in quotes, escaped as in JSON.
        key => format!("[{key}]"),
    }
}
