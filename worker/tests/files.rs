//! The `files` source over real folders.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tideline_config::settings::{FilesSettings, SourceKind, SourceSettings};
use tideline_core::clock::{Clock, ManualClock, SystemClock};
use tideline_core::words::{Fingerprint, PageMemory, Timestamp};
use tideline_worker::sources::{open, open_with_clock};
use tideline_worker::{ErrorClass, Item, Page, PageContent, PageRequest, Source};

fn settings(folder: &Path, page_size: u32, max_file_bytes: u64) -> SourceSettings {
    SourceSettings {
        kind: SourceKind::Files(FilesSettings {
            exclude: vec![],
            path: folder.to_owned(),
            page_size,
            max_file_bytes,
        }),
        ..SourceSettings::new("folder")
    }
}

async fn read(source: &dyn Source, cursor: Option<&Value>, memory: Option<&PageMemory>) -> Page {
    let request = PageRequest {
        partition: "folder",
        args: &json!({}),
        cursor,
        memory,
        pass: tideline_worker::Pass::Trial,
    };
    source.read_page(request).await.unwrap()
}

fn memory(page: &Page) -> PageMemory {
    PageMemory {
        page: 0,
        fingerprint: Fingerprint::default(),
        entities: 0,
        kept: 0,
        unidentified: 0,
        lost: vec![],
        next: page.next.as_ref().map(Value::to_string),
        children: Vec::new(),
        validators: page.validators.clone(),
        read_at: Timestamp::default(),
    }
}

/// References, and errors of malformed items.
fn told(page: &Page) -> (Vec<String>, Vec<String>) {
    let PageContent::Items(items) = &page.content else {
        panic!("unchanged")
    };
    let (mut references, mut errors) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Entity { reference, .. } => references.push(reference.to_string()),
            Item::Malformed(item) => {
                assert_eq!(item.reference, None);
                errors.push(item.error.clone());
            }
            Item::MadeBy(item) => panic!("{item:?}"),
        }
    }
    (references, errors)
}

fn entity(name: &str) -> String {
    json!({"kind": "Component", "metadata": {"name": name}}).to_string()
}

#[tokio::test]
async fn yaml_json_and_ndjson_are_read_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "a.yaml",
        "kind: API\nmetadata: {name: y1}\n---\nkind: API\nmetadata: {name: y2, namespace: n}\n".into(),
    );
    write("b.json", entity("j1"));
    write("c.json", format!("[{}, {}]", entity("j2"), entity("j3")));
    write("d.ndjson", format!("{}\n\n{}\n", entity("l1"), entity("l2")));
    write("e.txt", "kind: API".into());
    let source = open(&settings(folder.path(), 2, 1 << 20)).unwrap();
    let (mut all, mut cursors, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = read(&*source, cursor.as_ref(), None).await;
        let (references, errors) = told(&page);
        assert_eq!(errors, Vec::<String>::new());
        all.extend(references);
        cursor = page.next;
        match &cursor {
            Some(next) => cursors.push(next.clone()),
            None => break,
        }
    }
    assert_eq!(cursors, [json!("b.json")]);
    let component = |name: &str| format!("component:default/{name}");
    let expected = ["j1", "j2", "j3", "l1", "l2"].map(component);
    assert_eq!(all[..2], ["api:default/y1", "api:n/y2"]);
    assert_eq!(all[2..], expected);
}

#[tokio::test]
async fn what_configures_mocks_beside_an_entity_is_neither_an_entity_nor_malformed_and_other_documents_are() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("catalog-info.yaml", "kind: API\nmetadata: { name: a }\n");
    write(
        "microcks.yaml",
        "apiVersion: bcgov.dev/v1alpha1\nkind: MicrocksSync\nspec: { mocks: [] }\n",
    );
    write(
        "examples.yaml",
        "apiVersion: mocks.microcks.io/v1alpha1\nkind: APIExamples\nmetadata: { name: a, version: '1' }\n",
    );
    write("openapi.yaml", "openapi: 3.0.0\ninfo: { title: a }\n");
    let mut settings = settings(folder.path(), 10, 1 << 20);
    let page = read(&*open(&settings).unwrap(), None, None).await;
    let (references, errors) = told(&page);
    assert_eq!(references, ["api:default/a"]);
    assert!(
        errors.len() == 1 && errors[0].starts_with("openapi.yaml: "),
        "{errors:?}"
    );
    let SourceKind::Files(files) = &mut settings.kind else {
        panic!("a source of files");
    };
    files.exclude = vec!["open*.yaml".to_owned()];
    let page = read(&*open(&settings).unwrap(), None, None).await;
    assert_eq!(told(&page), (references, vec![]));
}

#[tokio::test]
async fn a_broken_file_is_reported_beside_the_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.yaml", b"kind: [1, 2\nmetadata: x\n");
    write("b.json", b"{\"kind\": \"A\", \"token\": \"letmein\"");
    write("c.ndjson", format!("{}\n{{broken\n", entity("ok")).as_bytes());
    write("d.json", &[0xff, 0xfe]);
    write("e.yaml", " ".repeat(2000).as_bytes());
    write("f.yaml", b"just: a\nmap: 1\n");
    let source = open(&settings(folder.path(), 100, 1000)).unwrap();
    let (mut references, mut errors, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = read(&*source, cursor.as_ref(), None).await;
        let told = told(&page);
        references.extend(told.0);
        errors.extend(told.1);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(references, ["component:default/ok"]);
    assert_eq!(errors.len(), 6, "{errors:?}");
    for (error, name) in errors
        .iter()
        .zip(["a.yaml", "b.json", "c.ndjson", "d.json", "e.yaml", "f.yaml"])
    {
        assert!(error.starts_with(name) && !error.contains("letmein"), "{error}");
    }
}

#[tokio::test]
async fn a_tab_a_null_and_a_latin_1_byte_cost_only_their_own_document() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    let yaml = |name: &str| format!("kind: Component\nmetadata:\n  name: {name}\n");
    let mut text = format!(
        "{}---\nkind: Component\nmetadata:\n\tname: tab\n---\n{}---\n",
        yaml("a1"),
        yaml("a2")
    )
    .into_bytes();
    text.extend(b"kind: Component\nmetadata:\n  name: l\xe4tin\n---\n");
    text.extend(yaml("a3").into_bytes());
    write("a.yaml", &text);
    write(
        "b.json",
        format!("[{}, null, {}]", entity("b1"), entity("b2")).as_bytes(),
    );
    let mut lines = format!("{}\n", entity("c1")).into_bytes();
    lines.extend(b"{\"kind\": \"\xe4\"}\n");
    lines.extend(entity("c2").into_bytes());
    write("c.ndjson", &lines);
    let source = open(&settings(folder.path(), 100, 10_000)).unwrap();
    let page = read(&*source, None, None).await;
    let (references, errors) = told(&page);
    let expected = ["a1", "a2", "a3", "b1", "b2", "c1", "c2"].map(|name| format!("component:default/{name}"));
    assert_eq!(references, expected);
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(
        errors[0].contains("(line ") && errors[1].contains("UTF-8"),
        "{errors:?}"
    );
    assert!(errors[3].contains("line 2"), "{errors:?}");
}

/// A clock that is far behind the files' times counts them as changed just now; one far ahead counts them as settled.
fn later() -> Arc<dyn Clock> {
    let clock = ManualClock::new(SystemClock.now());
    clock.advance(Duration::from_secs(3600));
    Arc::new(clock)
}

#[tokio::test]
async fn a_page_whose_files_did_not_change_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    std::fs::write(&file, entity("one")).unwrap();
    let source = open_with_clock(&settings(folder.path(), 10, 1000), later()).unwrap();
    let known = memory(&read(&*source, None, None).await);
    assert!(matches!(
        read(&*source, None, Some(&known)).await.content,
        PageContent::Unchanged
    ));

    std::fs::write(&file, entity("another")).unwrap();
    let changed = read(&*source, None, Some(&known)).await;
    assert_eq!(told(&changed).0, ["component:default/another"]);
    let known = memory(&changed);
    std::fs::write(folder.path().join("b.json"), entity("new")).unwrap();
    assert_eq!(told(&read(&*source, None, Some(&known)).await).0.len(), 2);
}

#[tokio::test]
async fn files_that_changed_just_now_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), entity("one")).unwrap();
    let source = open(&settings(folder.path(), 10, 1000)).unwrap();
    let page = read(&*source, None, None).await;
    assert_eq!(page.validators.content, None);
    assert_eq!(told(&read(&*source, None, Some(&memory(&page))).await).0.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_cannot_be_looked_at_is_reported_and_its_page_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("b.json");
    std::fs::write(folder.path().join("a.json"), entity("one")).unwrap();
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let source = open_with_clock(&settings(folder.path(), 10, 1000), later()).unwrap();
    let page = read(&*source, None, None).await;
    let (references, errors) = told(&page);
    assert_eq!(references, ["component:default/one"]);
    assert!(errors.len() == 1 && errors[0].starts_with("b.json: "), "{errors:?}");
    let again = read(&*source, None, Some(&memory(&page))).await;
    assert_eq!(told(&again).1.len(), 1);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_an_error_and_an_empty_one_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(&settings(folder.path(), 10, 1000)).unwrap();
    assert_eq!(told(&read(&*source, None, None).await).0.len(), 0);
    drop(folder);
    let request = PageRequest {
        partition: "folder",
        args: &json!({}),
        cursor: None,
        memory: None,
        pass: tideline_worker::Pass::Trial,
    };
    assert_eq!(
        source.read_page(request).await.unwrap_err().class,
        ErrorClass::Permanent
    );
}
