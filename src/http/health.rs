//! `/livez`: the process answers. `/intakez`: deliveries are recorded. `/readyz`: it does its work. `/metrics`: on a listener
//! of its own.

use std::fmt;

use actix_web::{HttpResponse, http::header::ContentType, web};
use metrics_exporter_prometheus::PrometheusHandle;

use super::problem::Problem;

/// One thing that must be well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Short and stable: `database`, `worker`, `sweep`, `clock`, `reconcile`, `generation`.
    pub name: &'static str,
    /// `Err` says what is wrong; it is logged, and callers are told the name alone.
    pub result: Result<(), String>,
}

/// Looks whether the service does its work.
#[async_trait::async_trait]
pub trait Health: Send + Sync + fmt::Debug {
    /// Every check, good or bad; bounded in time.
    async fn checks(&self) -> Vec<HealthCheck>;
}

pub(super) fn routes(app: &mut web::ServiceConfig) {
    let refuse = || web::to(async || Problem::Method.answer());
    app.service(web::resource("/livez").route(web::get().to(live)).default_service(refuse()));
    app.service(web::resource("/intakez").route(web::get().to(takes_in)).default_service(refuse()));
    app.service(web::resource("/readyz").route(web::get().to(ready)).default_service(refuse()));
}

pub(super) fn internal(
    metrics: PrometheusHandle,
    health: web::Data<dyn Health>,
) -> impl FnOnce(&mut web::ServiceConfig) {
    move |app| {
        app.app_data(web::Data::new(metrics))
            .app_data(health)
            .configure(routes)
            .service(web::resource("/metrics").route(web::get().to(render)))
            .default_service(web::to(async || Problem::NotFound.answer()));
    }
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("live\n")
}

/// For who chooses between several processes: what is red on all of them at once must not keep deliveries out.
async fn takes_in(health: web::Data<dyn Health>) -> HttpResponse {
    answer(health.checks().await.into_iter().filter(|check| check.name == "database").collect())
}

async fn ready(health: web::Data<dyn Health>) -> HttpResponse {
    answer(health.checks().await)
}

fn answer(checks: Vec<HealthCheck>) -> HttpResponse {
    let mut red: Vec<&str> = Vec::new();
    for check in &checks {
        if let Err(why) = &check.result {
            tracing::warn!(check = check.name, why, "not ready");
            red.push(check.name);
        }
    }
    let passing: Vec<&str> = checks.iter().filter(|c| c.result.is_ok()).map(|c| c.name).collect();
    let body = serde_json::json!({ "ready": red.is_empty(), "failing": red, "passing": passing });
    if red.is_empty() { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

async fn render(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    metrics.run_upkeep();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics.render())
}
