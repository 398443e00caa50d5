//! `/v1/audit`.

use std::sync::Arc;

use axum::extract::State;

use maily_api::audit::AuditEntry;
use maily_api::page::Page;
use maily_api::page::PageQuery;

use crate::answer::Outcome;
use crate::convert;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::MaybeProject;

/// Read the audit log
///
/// Who changed what, and who wanted to; oldest first. Who is bound to a project sees what was done
/// in it. A page may hold fewer rows than there are: go on while there is a `next`.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(PageQuery),
    responses((status = 200, body = Page<AuditEntry>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    wanted: Wanted,
) -> Outcome<Rows<AuditEntry>> {
    let after: Option<u64> = wanted.cursor(|text| text.parse().ok())?;
    let (audit, limit) = (shared.parts.audit.clone(), wanted.limit);
    let read = move || audit.page(project.as_ref(), after.unwrap_or(0), limit);
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| Fault::ours(&error))?;
    let page = read.map_err(|error| Fault::ours(&error))?;
    let data = page.entries.into_iter().map(convert::entry).collect();
    Ok(wanted.page_to(data, page.next.map(|next| next.to_string())))
}
