//! `pgfleet inventory`.

use pgfleet_engine::Stop;
use pgfleet_template::Problem;
use pgfleet_workflows::{Project, WorkflowError, load_inventory};

use crate::args::{ConnectionArgs, InventoryArgs};
use crate::exit::Exit;
use crate::{screen, settings};

pub(crate) fn run(project: Project, args: &InventoryArgs) -> Result<Exit, WorkflowError> {
    let wish = settings::wish_to_look(project, &args.source, &ConnectionArgs::default(), Stop::default())?;
    let inventory = load_inventory(&wish)?;
    if args.mode.graph {
        screen::line(inventory.graph().trim_end());
        return Ok(Exit::Done);
    }
    let value = match &args.mode.host {
        None => inventory.as_list(),
        Some(name) => {
            let Some(host) = inventory.host(name) else {
                let known: Vec<String> = inventory.hosts().map(|host| host.name.to_string()).collect();
                return Err(Problem::new(format!("no host is called '{name}'"))
                    .did_you_mean(name, known.iter().map(String::as_str))
                    .into());
            };
            inventory.host_variables_as_written(host.name.as_str())
        }
    };
    let text = serde_json::to_string_pretty(&value).map_err(|error| WorkflowError::Failed(error.to_string()))?;
    screen::line(&text);
    Ok(Exit::Done)
}
