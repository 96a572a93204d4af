//! What a person asks for: deploy, status. One file each.
