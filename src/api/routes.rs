//! The route table: every path that Cairn serves, the methods it takes, the access it needs, what it is for.
//!
//! `docs/http-api.md` is checked against this table by a test. Paths stand without the route prefix; `/tenant/<id>`,
//! `/prometheus`, `/mimir` and `/api/mimir` in front of any of them are stripped before routing (`paths`).

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::app::App;
use super::{
    admin, admin_tsdb, cairn, dashboards, exemplars, queries, query, rules, series, status, targets, ui, write,
};
use crate::auth::Access;

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Methods, parted by a blank.
    pub methods: &'static str,
    /// Path in axum's form.
    pub path: &'static str,
    /// What it lets a caller do.
    pub access: Access,
    /// What it is for, one line.
    pub about: &'static str,
    pub(super) build: fn(MethodFilter) -> MethodRouter<Arc<App>>,
}

impl Route {
    pub(super) fn filter(&self) -> MethodFilter {
        let filter = |method| match method {
            "GET" => MethodFilter::GET,
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            other => unreachable!("the table has no method {other}"),
        };
        let mut methods = self.methods.split(' ').map(filter);
        let first = methods.next().expect("split yields at least one part");
        methods.fold(first, MethodFilter::or)
    }
}

/// A row that any handler fits in.
macro_rules! route {
    ($methods:literal, $path:literal, $access:ident, $handler:path, $about:literal) => {
        Route {
            methods: $methods,
            path: $path,
            access: Access::$access,
            about: $about,
            build: |methods| build(methods, $handler),
        }
    };
}

fn build<H: Handler<T, Arc<App>>, T: 'static>(methods: MethodFilter, handler: H) -> MethodRouter<Arc<App>> {
    on(methods, handler)
}

/// All of them.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    // Prometheus: queries.
    route!("GET POST", "/api/v1/query", Read, query::instant, "Evaluate a PromQL expression at one time; `timeout`, `lookback_delta`, `limit`, `stats` (`all`: for each step)."),
    route!("GET POST", "/api/v1/query_range", Read, query::range, "Evaluate a PromQL expression over a range of time; the same options, and `nocache=1`."),
    route!("GET POST", "/api/v1/query_exemplars", Read, exemplars::exemplars, "Exemplars of the series that a PromQL expression selects."),
    route!("GET POST", "/api/v1/format_query", Read, query::format, "Print a PromQL expression in its usual form."),
    route!("GET POST", "/api/v1/parse_query", Read, query::parse, "The tree of a PromQL expression."),
    route!("GET POST", "/api/v1/series", Read, series::series, "Label sets of the series that `match[]` selects and that have a chunk in the time range."),
    route!("GET POST", "/api/v1/labels", Read, series::labels, "Label names, of all series or of those that `match[]` selects."),
    route!("GET", "/api/v1/label/{name}/values", Read, series::label_values, "Values of one label."),
    route!("GET", "/api/v1/metadata", Read, series::metadata, "Type, help and unit of metrics."),
    // Prometheus: state.
    route!("GET", "/api/v1/targets", Read, targets::targets, "Scrape targets, active and dropped."),
    route!("GET", "/api/v1/targets/metadata", Read, targets::metadata, "What targets say about their metrics."),
    route!("GET", "/api/v1/scrape_pools", Read, targets::scrape_pools, "Names of the scrape jobs."),
    route!("GET", "/api/v1/status/buildinfo", Read, status::buildinfo, "Version, in Prometheus' form."),
    route!("GET", "/api/v1/status/runtimeinfo", Read, status::runtimeinfo, "Start time, reload state, retention."),
    route!("GET", "/api/v1/status/config", Read, status::config, "The configuration in force, secrets masked."),
    route!("GET", "/api/v1/status/flags", Read, status::flags, "Every flag with its value."),
    route!("GET", "/api/v1/status/tsdb", Read, status::tsdb, "Head statistics and cardinality."),
    route!("GET", "/api/v1/status/walreplay", Read, status::walreplay, "Progress of the start; there is nothing to wait for once it answers."),
    route!("GET", "/api/v1/rules", Read, rules::rules, "Rule groups with state, health and alerts."),
    route!("GET", "/api/v1/alerts", Read, rules::alerts, "Pending and firing alerts."),
    // Pushes.
    route!("POST", "/api/v1/write", Push, write::push, "Prometheus remote write 1.0 and 2.0 (protobuf, snappy)."),
    route!("POST", "/api/v1/push", Push, write::push, "The same under Mimir's name."),
    // Prometheus: administration of the store.
    route!("POST PUT", "/api/v1/admin/tsdb/delete_series", Change, admin_tsdb::delete_series, "Delete the samples of the series that `match[]` selects, from `start` to `end`."),
    route!("POST PUT", "/api/v1/admin/tsdb/clean_tombstones", Change, admin_tsdb::clean_tombstones, "Take what is deleted off the disk."),
    route!("POST PUT", "/api/v1/admin/tsdb/snapshot", Change, admin_tsdb::snapshot, "Make a copy of the store below its directory, `snapshots/<name>`; `skip_head` leaves out what is not in blocks."),
    // Cairn's own.
    route!("GET", "/api/cairn/v1/status", Read, cairn::status, "The appliance at a glance: storage, targets, alerts."),
    route!("GET", "/api/cairn/v1/notifications", Read, rules::notifications, "The last deliveries to receivers, newest first."),
    route!("GET", "/api/cairn/v1/queries", Read, queries::list, "Queries of the tenant that wait or run, oldest first."),
    route!("GET", "/api/cairn/v1/queries/slow", Read, queries::slow, "The last queries of the tenant that took long, newest first; `limit`."),
    route!("DELETE", "/api/cairn/v1/queries/{id}", Change, queries::kill, "End one of them; its asker is told."),
    route!("GET", "/api/cairn/v1/dashboards", Read, dashboards::list, "All dashboards of the tenant."),
    route!("POST", "/api/cairn/v1/dashboards", Change, dashboards::import, "Keep a Grafana dashboard JSON document."),
    route!("GET", "/api/cairn/v1/dashboards/{uid}", Read, dashboards::get, "One dashboard's document as it came."),
    route!("DELETE", "/api/cairn/v1/dashboards/{uid}", Change, dashboards::delete, "Remove a kept dashboard."),
    // Management.
    route!("GET", "/-/healthy", Public, admin::healthy, "200 while the process serves."),
    route!("GET", "/-/ready", Public, admin::ready, "200 once the data is open; 503 before."),
    route!("GET", "/ready", Public, admin::ready_mimir, "The same in Mimir's words."),
    route!("POST PUT", "/-/reload", Operate, admin::reload, "Read the configuration and rule files again."),
    route!("GET", "/metrics", Read, admin::metrics, "Cairn's own metrics."),
    // The UI.
    route!("GET", "/", Public, ui::page, "Home."),
    route!("GET", "/graph", Public, ui::page, "Explore; understands Prometheus' g0.expr links."),
    route!("GET", "/query", Public, ui::page, "Explore, where Prometheus 3 has it."),
    route!("GET", "/explore", Public, ui::page, "Explore."),
    route!("GET", "/targets", Public, ui::page, "Scrape targets."),
    route!("GET", "/alerts", Public, ui::page, "Alerts."),
    route!("GET", "/rules", Public, ui::page, "Rule groups."),
    route!("GET", "/status", Public, ui::page, "Status, configuration, cardinality."),
    route!("GET", "/status/{section}", Public, ui::page, "One part of it."),
    route!("GET", "/config", Public, ui::page, "Configuration, where Prometheus has it."),
    route!("GET", "/flags", Public, ui::page, "Flags, where Prometheus has them."),
    route!("GET", "/tsdb-status", Public, ui::page, "Cardinality, where Prometheus has it."),
    route!("GET", "/dashboards", Public, ui::page, "Dashboards."),
    route!("GET", "/d/{uid}", Public, ui::page, "One dashboard."),
    route!("GET", "/d/{uid}/{slug}", Public, ui::page, "One dashboard, in Grafana's form of the link."),
    route!("GET", "/assets/{*file}", Public, ui::asset, "Scripts and styles of the UI."),
    route!("GET", "/{file}", Public, ui::root_asset, "Icon and other files at the top of the UI."),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http-api.md");
    const HEAD: &str = "# HTTP API\n\n\
        Made from the route table, `src/api/routes.rs`; a test compares them (`UPDATE_DOCS=1 cargo test http_api` writes this file anew).\n\n\
        JSON bodies are Prometheus' field by field. Any path may stand behind `/prometheus`, `/mimir` or `/api/mimir`, and with\n\
        multitenancy behind `/tenant/<id>`; all of them stand below `--web.route-prefix`. Parameters come from the URL or a form body.\n\n\
        | access | who |\n|---|---|\n\
        | public | everyone; nobody's data |\n\
        | read | everyone; one tenant's data |\n\
        | push | the loopback, or a credential of the configuration file; only the latter once one is defined |\n\
        | operate | everyone until a credential is defined, then the loopback or a credential |\n\
        | change | the loopback: this machine itself, not through a proxy |\n\n\
        Whatever a page of another site asks for, only reading is answered.\n\n\
        | methods | path | access | what |\n|---|---|---|---|\n";

    #[test]
    fn http_api_document_says_what_the_table_says() {
        let mut expected = HEAD.to_owned();
        for route in ROUTES {
            let methods = route.methods.replace(' ', ", ");
            writeln!(expected, "| {methods} | `{}` | {} | {} |", route.path, route.access.as_str(), route.about)
                .unwrap();
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(DOC, &expected).unwrap();
        }
        let found = std::fs::read_to_string(DOC).unwrap();
        assert!(found == expected, "docs/http-api.md is old: run UPDATE_DOCS=1 cargo test http_api");
    }

    #[test]
    fn nothing_that_changes_is_public_and_get_changes_nothing() {
        for route in ROUTES {
            let only_reads = matches!(route.access, Access::Public | Access::Read);
            assert!(only_reads || !route.methods.contains("GET"), "{} {}", route.methods, route.path);
            let writes = route.methods.split(' ').any(|m| matches!(m, "PUT" | "DELETE"));
            assert!(!writes || !only_reads, "{} {}", route.methods, route.path);
        }
    }
}
