//! `/api/search`: traces by TraceQL (`q`), or by tags and duration as before TraceQL.

use http::{Response, StatusCode};

use super::Accept;
use super::search_answer::{Respond, SearchAnswer};
use super::search_params::{Params, SearchFor, SearchRequest, unix_now};
use crate::search;
use crate::server::{Body, plain_text};
use crate::store::Snapshot;

/// Answers a search over what is stored now. Takes its time: not for a thread that serves connections.
pub(super) fn search(snapshot: &Snapshot, query: &str, accept: Accept) -> Response<Body> {
    let request = match SearchRequest::read(&Params::new(query), unix_now()) {
        Ok(request) => request,
        Err(message) => return plain_text(StatusCode::BAD_REQUEST, message),
    };
    let found = match &request.search {
        SearchFor::Query(query) => match search::by_query(query, &snapshot.chunks, &request.bounds)
        {
            Ok(found) => found,
            Err(error) => {
                return plain_text(
                    StatusCode::BAD_REQUEST,
                    format!("invalid TraceQL query: {error}"),
                );
            }
        },
        SearchFor::Tags(tags) => search::by_tags(tags, &snapshot.chunks, &request.bounds),
    };
    SearchAnswer::new(found).respond(accept)
}
