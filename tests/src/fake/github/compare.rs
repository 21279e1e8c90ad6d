use serde_json::{Value, json};

/// Maximum number of files that GitHub shows of a comparison.
const MOST_FILES: usize = 300;

/// A comparison of two commits, as GitHub's API describes it.
pub(super) fn comparison(base: &str, files: &[(String, &'static str)]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .take(MOST_FILES)
        .map(|(path, status)| file(base, path, status))
        .collect();
    json!({
        "url": base, "html_url": base, "permalink_url": base, "diff_url": base, "patch_url": base,
        "base_commit": commit(base), "merge_base_commit": commit(base),
        "status": "ahead", "ahead_by": 3_000, "behind_by": 0, "total_commits": 3_000,
        "commits": [commit(base)],
        "files": files,
    })
}

fn file(base: &str, path: &str, status: &str) -> Value {
    let mut file = json!({
        "sha": "0".repeat(40), "filename": path, "status": status, "additions": 1, "deletions": 0, "changes": 1,
        "blob_url": base, "raw_url": base, "contents_url": base,
    });
    if status == "renamed" {
        file["previous_filename"] = json!(format!("old/{path}"));
    }
    file
}

fn commit(base: &str) -> Value {
    let person = json!({ "name": "A", "email": "a@example.com", "date": "2026-01-02T03:04:05Z" });
    json!({
        "url": base, "sha": "0".repeat(40), "node_id": "C_1", "html_url": base, "comments_url": base,
        "commit": {
            "url": base, "author": person, "committer": person, "message": "change", "comment_count": 0,
            "tree": { "sha": "0".repeat(40), "url": base },
        },
        "author": null, "committer": null, "parents": [],
    })
}
