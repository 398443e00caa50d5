//! The query of a list, and its pages with their links (RFC 8288).

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::response::IntoResponse;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use hyper::http::request::Parts as Head;
use serde::Serialize;

use maily_api::page::CURSOR_CHARACTERS_MAX;
use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::page::ROWS_DEFAULT;
use maily_api::page::ROWS_MAX;

use crate::answer::Answer;
use crate::fault::Fault;

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The most of them.
    pub limit: usize,
    /// Behind which cursor, if not from the start.
    pub after: Option<String>,
    path: String,
    /// What else was asked for, as it stands in a query.
    also: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let path = head.uri.path().to_owned();
        let Query(query) = Query::<PageQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        Self::new(&path, query.limit, query.after)
    }
}

/// A cursor that none of our pages gave.
fn bad_cursor() -> Fault {
    Fault::malformed("`after` must be the `next` of the page before")
}

impl Wanted {
    /// Rows of the list at this path.
    ///
    /// # Errors
    /// They are too many, or none; or the cursor is none of ours.
    pub fn new(path: &str, limit: Option<u16>, after: Option<String>) -> Result<Self, Fault> {
        let limit = limit.unwrap_or(ROWS_DEFAULT);
        if limit == 0 || limit > ROWS_MAX {
            return Err(Fault::malformed(format!("limit must be from 1 to {ROWS_MAX}")));
        }
        if after.as_ref().is_some_and(|after| after.chars().count() > CURSOR_CHARACTERS_MAX) {
            return Err(bad_cursor());
        }
        Ok(Self { limit: limit.into(), after, path: path.to_owned(), also: String::new() })
    }

    /// More that was asked for and that the next page is to have, too; its characters must stand
    /// for themselves in a query.
    pub fn also(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.also.push_str(&format!("&{name}={value}"));
        }
    }

    /// The cursor read as what it stands for.
    ///
    /// # Errors
    /// It stands for nothing.
    pub fn cursor<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Fault> {
        self.after.as_deref().map(|after| read(after).ok_or_else(bad_cursor)).transpose()
    }

    /// A page of up to `limit` of these rows. One more shows that there is another page; the
    /// cursor is made from the last row that is given.
    pub fn page<T, R>(
        &self,
        mut rows: Vec<T>,
        cursor: impl FnOnce(&T) -> String,
        row: impl Fn(T) -> R,
    ) -> Rows<R> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(cursor);
        self.page_to(rows.into_iter().map(row).collect(), next)
    }

    /// A page of these rows, with this cursor for the next.
    pub fn page_to<R>(&self, data: Vec<R>, next: Option<String>) -> Rows<R> {
        let link = next.as_ref().map(|next| {
            // A cursor of ours has only characters that stand for themselves in a query.
            let (path, limit, also) = (&self.path, self.limit, &self.also);
            format!("<{path}?limit={limit}&after={next}{also}>; rel=\"next\"")
        });
        Rows { page: Page { data, next }, link }
    }

    /// How many rows to look for: one more than wanted, to see whether there is another page.
    pub const fn looked_for(&self) -> usize {
        self.limit + 1
    }
}

/// A page and its link.
#[derive(Clone, Debug)]
pub struct Rows<R> {
    page: Page<R>,
    link: Option<String>,
}

impl<R: Serialize> IntoResponse for Rows<R> {
    fn into_response(self) -> Response {
        let mut response = Answer(StatusCode::OK, self.page).into_response();
        let link = self.link.and_then(|link| HeaderValue::from_str(&link).ok());
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wanted(uri: &str) -> Result<Wanted, u16> {
        let request = hyper::Request::get(uri).body(()).unwrap();
        let (mut head, ()) = request.into_parts();
        Wanted::from_request_parts(&mut head, &()).await.map_err(|fault| fault.status())
    }

    #[tokio::test]
    async fn a_query_has_its_limits() {
        assert_eq!(wanted("/a").await.unwrap().limit, 100);
        assert_eq!(wanted("/a?limit=1000").await.unwrap().limit, 1_000);
        let long = format!("/a?after={}", "a".repeat(CURSOR_CHARACTERS_MAX + 1));
        for bad in ["/a?limit=0", "/a?limit=1001", "/a?limit=x", "/a?unknown=1", &long] {
            assert_eq!(wanted(bad).await.unwrap_err(), 400, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_page_says_where_the_next_one_begins() {
        let wanted = wanted("/v1/x?limit=2").await.unwrap();
        let page = |rows: Vec<u32>| wanted.page(rows, |row| row.to_string(), |row| row);
        let first = page(vec![1, 2, 3]);
        assert_eq!((first.page.data, first.page.next.as_deref()), (vec![1, 2], Some("2")));
        assert_eq!(first.link.as_deref(), Some("</v1/x?limit=2&after=2>; rel=\"next\""));
        let mut with = wanted.clone();
        with.also("type", "a,b");
        let link = with.page_to(vec![1], Some("3".to_owned())).link;
        assert_eq!(link.as_deref(), Some("</v1/x?limit=2&after=3&type=a,b>; rel=\"next\""));
        let last = page(vec![1, 2]);
        assert_eq!((last.page.data, last.page.next, last.link), (vec![1, 2], None, None));
    }
}
