//! SSH sessions: authentication, known hosts, jump hosts, delivery of the agent.
