//! Lists come in pages: `?limit=100&after=…` gives some of the rows and where the next ones begin.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// Rows on a page if the request does not say.
pub const ROWS_DEFAULT: u16 = 100;
/// The most rows on a page.
pub const ROWS_MAX: u16 = 1_000;
/// The most characters of a cursor.
pub const CURSOR_CHARACTERS_MAX: usize = 1_024;

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The most rows to give.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// The `next` of the page before; the list begins at its start without it.
    #[param(max_length = 1024)]
    pub after: Option<String>,
}

/// Some rows of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// What to give as `after` for the next page; none if this is the last one.
    #[serde(default)]
    pub next: Option<String>,
}
