//! Whose store a request is about: the only one, or with multitenancy the one of the tenant that
//! `X-Scope-OrgID` names. Asked by `receiver` and `api`, which know no other way to a store.
//!
//! Source: Tempo's `multitenancy_enabled`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, StatusCode};
use parking_lot::Mutex;

use crate::logs::{LogLimits, LogStore};
use crate::store::{Limits, Store};

/// The header that names the tenant; on queries several, joined by `|`.
pub const TENANT_HEADER: HeaderName = HeaderName::from_static("x-scope-orgid");
/// Tenants kept at a time. Each has a store with limits of its own, so this bounds them all.
pub const MAX_TENANTS: usize = 16;
/// Longest name of a tenant, in bytes; Tempo's.
const MAX_NAME_BYTES: usize = 150;
/// The name of the only tenant, as Tempo calls it.
const SINGLE: &str = "single-tenant";

/// The stores of all tenants. Clones share them.
#[derive(Clone, Debug)]
pub struct Tenants(Stores);

#[derive(Clone, Debug)]
enum Stores {
    One(Arc<Store>),
    Many(Arc<Many>),
}

#[derive(Debug)]
struct Many {
    limits: Limits,
    log_limits: LogLimits,
    /// What a tenant reads who never sent anything.
    nothing: Arc<Store>,
    stores: Mutex<BTreeMap<String, Arc<Store>>>,
}

/// A tenant and its store.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) store: Arc<Store>,
}

/// Why a request has no tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TenantError {
    #[error("no org id: send the tenant's name in X-Scope-OrgID")]
    Missing,
    #[error("tenant ID {0:?} is not valid: at most 150 letters, digits and !-_.*'() make a name")]
    Invalid(String),
    #[error("several tenants in X-Scope-OrgID: only one can be written to, or have its logs read")]
    Several,
    #[error("there are {MAX_TENANTS} tenants already, no more are kept")]
    TooMany,
}

impl TenantError {
    /// What the error is called in HTTP.
    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            TenantError::Missing => StatusCode::UNAUTHORIZED,
            TenantError::Invalid(_) | TenantError::Several => StatusCode::BAD_REQUEST,
            TenantError::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl From<Arc<Store>> for Tenants {
    /// One store for whoever asks; the header means nothing.
    fn from(store: Arc<Store>) -> Self {
        Tenants(Stores::One(store))
    }
}

impl Tenants {
    /// A store for each tenant, made with these limits when the tenant first sends something.
    pub fn many(limits: Limits, log_limits: LogLimits) -> Self {
        Tenants(Stores::Many(Arc::new(Many {
            limits,
            log_limits,
            nothing: Arc::new(Store::with_logs(limits, log_limits)),
            stores: Mutex::default(),
        })))
    }

    /// The store that a request writes to.
    pub(crate) fn to_write(&self, headers: &HeaderMap) -> Result<Arc<Store>, TenantError> {
        let many = match &self.0 {
            Stores::One(store) => return Ok(Arc::clone(store)),
            Stores::Many(many) => many,
        };
        let mut names = names(headers)?;
        let (Some(name), true) = (names.pop(), names.is_empty()) else {
            return Err(TenantError::Several);
        };
        let mut stores = many.stores.lock();
        if let Some(store) = stores.get(&name) {
            return Ok(Arc::clone(store));
        }
        if stores.len() == MAX_TENANTS {
            return Err(TenantError::TooMany);
        }
        let store = Arc::new(Store::with_logs(many.limits, many.log_limits));
        stores.insert(name, Arc::clone(&store));
        Ok(store)
    }

    /// The tenants that a request reads: at least one is named, but those that never sent anything
    /// have no store.
    pub(crate) fn to_read(&self, headers: &HeaderMap) -> Result<Vec<Tenant>, TenantError> {
        let many = match &self.0 {
            Stores::One(_) => return Ok(self.all()),
            Stores::Many(many) => many,
        };
        let stores = many.stores.lock();
        let known = |name: String| {
            let store = Arc::clone(stores.get(&name)?);
            Some(Tenant { name, store })
        };
        Ok(names(headers)?.into_iter().filter_map(known).collect())
    }

    /// The log records that a request reads: those of one tenant.
    pub(crate) fn logs_to_read(&self, headers: &HeaderMap) -> Result<Arc<LogStore>, TenantError> {
        let mut tenants = self.to_read(headers)?;
        let store = match (&self.0, tenants.pop()) {
            (_, Some(_)) if !tenants.is_empty() => return Err(TenantError::Several),
            (_, Some(tenant)) => tenant.store,
            (Stores::One(store), None) => Arc::clone(store),
            (Stores::Many(many), None) => Arc::clone(&many.nothing),
        };
        Ok(Arc::clone(store.logs()))
    }

    /// Everybody.
    pub(crate) fn all(&self) -> Vec<Tenant> {
        let tenant = |(name, store): (&str, &Arc<Store>)| Tenant {
            name: name.to_owned(),
            store: Arc::clone(store),
        };
        match &self.0 {
            Stores::One(store) => vec![tenant((SINGLE, store))],
            Stores::Many(many) => {
                let stores = many.stores.lock();
                stores
                    .iter()
                    .map(|(name, store)| tenant((name, store)))
                    .collect()
            }
        }
    }

    /// The stores of all tenants that ever sent something.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.all().into_iter().map(|tenant| tenant.store).collect()
    }
}

/// The distinct names in the header.
fn names(headers: &HeaderMap) -> Result<Vec<String>, TenantError> {
    let value = headers.get(TENANT_HEADER).ok_or(TenantError::Missing)?;
    let text = value.to_str().map_err(|_| {
        TenantError::Invalid(String::from_utf8_lossy(value.as_bytes()).into_owned())
    })?;
    if text.is_empty() {
        return Err(TenantError::Missing);
    }
    let mut names: Vec<String> = Vec::new();
    for name in text.split('|') {
        let known = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        let good = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(known);
        if !good || name == "." || name == ".." {
            return Err(TenantError::Invalid(name.to_owned()));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(TENANT_HEADER, value.parse().unwrap())])
    }

    #[test]
    fn without_multitenancy_there_is_one_store() {
        let store = Arc::new(Store::new(Limits::default()));
        let tenants = Tenants::from(Arc::clone(&store));
        for headers in [HeaderMap::new(), headers("a"), headers("a|b"), headers("/")] {
            assert!(Arc::ptr_eq(&tenants.to_write(&headers).unwrap(), &store));
            assert!(Arc::ptr_eq(
                &tenants.to_read(&headers).unwrap()[0].store,
                &store
            ));
        }
    }

    #[test]
    fn each_tenant_has_a_store_of_its_own() {
        let tenants = Tenants::many(Limits::default(), LogLimits::default());
        let a = tenants.to_write(&headers("a")).unwrap();
        let b = tenants.to_write(&headers("b")).unwrap();
        assert!(!Arc::ptr_eq(&a, &b));
        assert!(Arc::ptr_eq(&tenants.to_write(&headers("a")).unwrap(), &a));
        let names = |value: &str| -> Vec<String> {
            let found = tenants.to_read(&headers(value)).unwrap();
            found.into_iter().map(|tenant| tenant.name).collect()
        };
        assert_eq!(names("a"), ["a"]);
        assert_eq!(names("b|a|b"), ["b", "a"]);
        assert!(names("c").is_empty());
        assert_eq!(tenants.stores().len(), 2, "reading makes no store");
    }

    #[test]
    fn requests_without_a_good_name_are_refused() {
        let tenants = Tenants::many(Limits::default(), LogLimits::default());
        let refused = |headers: &HeaderMap| {
            let read = tenants.to_read(headers).unwrap_err();
            assert_eq!(tenants.to_write(headers).unwrap_err(), read);
            read
        };
        assert_eq!(refused(&HeaderMap::new()), TenantError::Missing);
        assert_eq!(refused(&headers("")), TenantError::Missing);
        for name in ["a/b", "..", "a|", "|", "a b", &"x".repeat(151)] {
            assert!(
                matches!(refused(&headers(name)), TenantError::Invalid(_)),
                "{name}"
            );
        }
        assert_eq!(
            tenants.to_write(&headers("a|b")).unwrap_err(),
            TenantError::Several
        );
        for n in 0..MAX_TENANTS {
            tenants.to_write(&headers(&n.to_string())).unwrap();
        }
        assert_eq!(
            tenants.to_write(&headers("one-more")).unwrap_err(),
            TenantError::TooMany
        );
    }
}
