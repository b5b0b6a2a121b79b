"""Who buys and who sells: companies, members, staff, sign-up, log-in, sessions, invitations, API keys."""
