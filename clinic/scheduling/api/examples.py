"""What the documentation of several resources shows."""

DOCTOR_ID = "01890a5d-ac96-774b-bcce-b302099a8002"
PATIENT_ID = "01890a5d-ac96-774b-bcce-b302099a8003"
EXAMPLE = {
    "patientId": PATIENT_ID,
    "doctorId": DOCTOR_ID,
    "date": "2030-03-14T09:00:00-05:00",
    "reason": "Check of blood pressure",
    "notes": "Brings her own readings",
}
TAKEN_EXAMPLE = {
    "detail": "Dr. Dario Quintero has another visit then.",
    "code": "time_taken",
    "trace_id": "6f0c2d7e",
    "nearest": [
        {
            "start": "2030-03-14T14:30:00Z",
            "end": "2030-03-14T15:00:00Z",
            "doctorId": DOCTOR_ID,
            "locationId": "01890a5d-ac96-774b-bcce-b302099a8001",
        }
    ],
}
