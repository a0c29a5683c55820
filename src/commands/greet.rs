//! Whether the servers of sinks and queues take the logins of a configuration. Nothing is delivered or read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::amqp;
use crate::config::sinks::SinkSection;
use crate::intake::amqp::settings::Queue;
use crate::net::{Internet, Network};
use crate::reach::within;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong with each sink's server or login, in the order of the sinks; none where nothing is. All are asked at once. Blocks.
pub fn all(sinks: &[SinkSection]) -> Vec<Option<String>> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return sinks.iter().map(|_| Some(error.to_string())).collect(),
    };
    let network: Arc<dyn Network> = Arc::new(Internet);
    let greet = async |sink: &SinkSection| {
        let greeting = sink.settings.sink.greet(network.clone());
        match within(PATIENCE, greeting).await {
            Ok(answer) => answer.err().map(|trouble| trouble.to_string()),
            Err(late) => Some(format!("{late}; {}", late.remedy())),
        }
    };
    runtime.block_on(join_all(sinks.iter().map(greet)))
}

/// The same of each queue's broker. Blocks.
pub fn queues(queues: &[Arc<Queue>]) -> Vec<Option<String>> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return queues.iter().map(|_| Some(error.to_string())).collect(),
    };
    let greet = async |queue: &Arc<Queue>| match within(PATIENCE, amqp::connect(&queue.url, &queue.tls)).await
    {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(late) => Some(late.to_string()),
    };
    runtime.block_on(join_all(queues.iter().map(greet)))
}
