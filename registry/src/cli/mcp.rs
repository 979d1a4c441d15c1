//! `pulse-registry mcp`: the tools of a running registry for an assistant that
//! starts its servers itself.

use clap::Args;
use rmcp::ServiceExt as _;

use pulse_shell::client::{self, Access};

use crate::service::mcp::{Tools, registry};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The registry to ask.
    #[arg(long, default_value = "http://127.0.0.1:7660", env = "PULSE_REGISTRY_ADDRESS", value_name = "URL")]
    address: String,
    #[command(flatten)]
    access: Access,
}

/// Until the assistant closes the input. Standard output belongs to the protocol.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let tools = Tools::new(
        registry(client::connect("registry", &arguments.address, &arguments.access).await?),
        "mcp",
    );
    let serving = tools.serve(rmcp::transport::stdio()).await?;
    serving.waiting().await?;
    Ok(())
}
