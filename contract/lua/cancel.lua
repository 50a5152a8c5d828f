-- cancel: nobody is left to read this job's answer.
--
-- ARGV: now, job, life ms of a finished job
-- Returns 'dropped', 'told' or 'gone'.
return cancel(ARGV[2], ARGV[3])
