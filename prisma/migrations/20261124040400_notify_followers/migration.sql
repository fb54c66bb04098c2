-- Followers of a job listen on lathe_events: told at commit, once per transaction and job.
CREATE FUNCTION notify_event() RETURNS trigger AS $$
BEGIN
  PERFORM pg_notify('lathe_events', NEW.job_id);
  RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER events_notify AFTER INSERT ON "events" FOR EACH ROW EXECUTE FUNCTION notify_event();

-- The relay listens on lathe_outbox.
CREATE FUNCTION notify_outbox() RETURNS trigger AS $$
BEGIN
  PERFORM pg_notify('lathe_outbox', '');
  RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER outbox_notify AFTER INSERT ON "outbox" FOR EACH STATEMENT EXECUTE FUNCTION notify_outbox();
