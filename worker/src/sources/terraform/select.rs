//! Which workspaces are read: by name, tags and project.

use tideline_config::settings::TerraformSettings;

use super::glob::Globs;
use super::workspace::Workspace;

/// What the ids of projects begin with.
const PROJECT_ID: &str = "prj-";

/// See the module.
pub(super) struct Selection {
    names: Globs,
    /// All of them, as `key` or `key:value`.
    tags: Vec<String>,
    project: Option<String>,
    wants_bindings: bool,
}

impl Selection {
    pub(super) fn new(settings: &TerraformSettings) -> Self {
        Self {
            names: Globs::new(&settings.workspaces),
            tags: settings.tags.iter().map(|tag| tag.replacen('=', ":", 1)).collect(),
            project: settings.project.clone(),
            wants_bindings: !settings.tag_labels.is_empty() || settings.tags.iter().any(|tag| tag.contains([':', '='])),
        }
    }

    /// Whether a workspace is one of them. The API's filters only spare pages: this decides.
    pub(super) fn takes(&self, workspace: &Workspace) -> bool {
        let by_name = self.names.is_empty() || self.names.matches(&workspace.name);
        let by_tags = self.tags.iter().all(|tag| workspace.tags.contains(tag));
        let by_project = self
            .project
            .as_ref()
            .is_none_or(|project| *project == workspace.project_id || project.eq_ignore_ascii_case(&workspace.project));
        by_name && by_tags && by_project
    }

    /// The part of a request's query that says so.
    pub(super) fn filters(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        // The API knows a star at either end.
        if let Some(pattern) = self.names.single()
            && !pattern.trim_matches('*').contains('*')
            && pattern != "*"
        {
            query.push(("search[wildcard-name]", pattern.to_owned()));
        }
        if let Some(project) = self.project.as_ref().filter(|project| project.starts_with(PROJECT_ID)) {
            query.push(("filter[project][id]", project.clone()));
        }
        query
    }

    /// Related objects that the answer must have. None where they are not needed: old versions of Terraform Enterprise
    /// know fewer of them.
    pub(super) fn include(&self) -> Option<String> {
        let by_project_name = self
            .project
            .as_ref()
            .is_some_and(|project| !project.starts_with(PROJECT_ID));
        let wanted = [
            (by_project_name, "project"),
            (self.wants_bindings, "effective_tag_bindings"),
        ];
        let wanted: Vec<&str> = wanted.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        (!wanted.is_empty()).then(|| wanted.join(","))
    }
}
