"""What every room stands on: money, ids, time, errors, settings, the database, jobs, events, mail, digests, keys."""
