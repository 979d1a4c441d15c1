//! `pulse.admin.v1.LogService` of either server.

use std::time::Duration;

use prost_types::Timestamp;
use pulse_proto::pb::admin::v1::log_service_server::{LogService, LogServiceServer};
use pulse_proto::pb::admin::v1::{
    GetLogLevelRequest, GetLogLevelResponse, LogLevel, SetLogLevelRequest, SetLogLevelResponse,
};
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::control::{Control, FOR_DEFAULT, FOR_MAX, InForce};
use super::is_level;

#[derive(Clone, Copy, Debug, Default)]
pub struct LogApi;

/// Ready to be added to a server.
pub fn server() -> LogServiceServer<LogApi> {
    LogServiceServer::new(LogApi)
}

fn control() -> Result<std::sync::Arc<Control>, Status> {
    Control::installed().ok_or_else(|| Status::failed_precondition("this process has no log of its own"))
}

fn show(control: &Control, in_force: InForce) -> LogLevel {
    let timestamp = |millis: u64| Timestamp {
        seconds: i64::try_from(millis / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default(),
    };
    LogLevel {
        level: in_force.level,
        configured: control.configured().to_owned(),
        reverts_at: in_force.reverts_at.map(timestamp),
    }
}

fn invalid(field: &str, description: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, description);
    Status::with_error_details(tonic::Code::InvalidArgument, format!("{field}: {description}"), details)
}

#[tonic::async_trait]
impl LogService for LogApi {
    async fn get_log_level(
        &self,
        _request: Request<GetLogLevelRequest>,
    ) -> Result<Response<GetLogLevelResponse>, Status> {
        let control = control()?;
        let log_level = Some(show(&control, control.in_force()));
        Ok(Response::new(GetLogLevelResponse { log_level }))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        let SetLogLevelRequest { level, duration } = request.into_inner();
        let level = level.trim();
        if !level.is_empty() && !is_level(level) {
            return Err(invalid(
                "level",
                "expected error, warn, info, debug, trace, or a filter such as info,pulse_registry=debug",
            ));
        }
        let time = match duration {
            None => FOR_DEFAULT,
            Some(time) => {
                Duration::try_from(time).map_err(|_| invalid("duration", "expected a time above 0"))?
            }
        };
        if time.is_zero() || time > FOR_MAX {
            return Err(invalid("duration", "expected a time above 0 and up to 24 h"));
        }
        let control = control()?;
        let set = control.set(level, time).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(SetLogLevelResponse { log_level: Some(show(&control, set)) }))
    }
}
