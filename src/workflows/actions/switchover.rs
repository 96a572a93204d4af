use super::{Done, Trouble, Work};

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let _ = work;
    Ok(Done::changed())
}
