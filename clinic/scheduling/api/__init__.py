"""The JSON door of the book: MediSecure's doctors and appointments, Doctolib's schedules and status, free times."""
