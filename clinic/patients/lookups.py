"""The lists all clinics share, as rows for the migration that fills their tables.

Document types: HL7 Colombia Core IG 0.4.2 (CC0-1.0) and Secre's PEP and PSI.
Insurers (EPS): codes and NITs as MinSalud publishes them (facts).
Names are message ids; pages show them in the reader's language.
"""

from django.utils.translation import gettext_noop as _

# id, code (Secre), word (MediSecure, FHIR), name
GENDERS = [
    (1, "M", "male", _("Male")),
    (2, "F", "female", _("Female")),
    (3, "O", "other", _("Other")),
    (4, "N", "unknown", _("Not known")),
]

# id, code, country, name
DOCUMENT_TYPES = [
    (1, "CC", "CO", _("Citizenship card")),
    (2, "CE", "CO", _("Foreigner's card")),
    (3, "TI", "CO", _("Identity card (minors)")),
    (4, "RC", "CO", _("Birth registration")),
    (5, "PA", "", _("Passport")),
    (6, "PEP", "CO", _("Special stay permit (PEP)")),
    (7, "PSI", "CO", _("Unidentified person")),
    (8, "CD", "CO", _("Diplomatic card")),
    (9, "SC", "CO", _("Safe conduct")),
    (10, "PT", "CO", _("Temporary protection permit")),
    (11, "PE", "CO", _("Special stay permit")),
    (12, "CN", "CO", _("Certificate of live birth")),
    (13, "DE", "", _("Foreign document")),
    (14, "SSN", "US", _("Social security number")),
    (15, "DL", "", _("Driver's licence")),
]

# id, code, name, tax number (NIT)
INSURERS = [
    (1, "EPS001", "ALIANSALUD EPS", "830113831"),
    (2, "EPSI04", "ANAS WAYUU EPSI", "839000495"),
    (3, "ESS062", "ASMET SALUD", "900935126"),
    (4, "EPSI03", "ASOCIACION INDIGENA DEL CAUCA EPSI", "817001773"),
    (5, "CCF055", "CAJACOPI ATLANTICO", "890102044"),
    (6, "EPSS34", "CAPITAL SALUD EPS-S", "900298372"),
    (7, "EPS025", "CAPRESOCA", "891856000"),
    (8, "CCF102", "COMFACHOCO", "891600091"),
    (9, "CCF050", "COMFAORIENTE", "890500675"),
    (10, "EPS012", "COMFENALCO VALLE", "890303093"),
    (11, "EPS008", "COMPENSAR EPS", "860066942"),
    (12, "ESS024", "COOSALUD EPS-S", "900226715"),
    (13, "EPSI01", "DUSAKAWI EPSI", "824001398"),
    (14, "ESS118", "EMSSANAR E.S.S.", "901021565"),
    (15, "EAS016", "EPM - EMPRESAS PUBLICAS DE MEDELLIN", "890904996"),
    (16, "CCF033", "EPS FAMILIAR DE COLOMBIA", "901543761"),
    (17, "EPS005", "EPS SANITAS", "800251440"),
    (18, "EPS010", "EPS SURA", "800088702"),
    (19, "EPS017", "FAMISANAR", "830003564"),
    (20, "EAS027", "FONDO DE PASIVO SOCIAL DE FERROCARRILES", "800112806"),
    (21, "EPSI05", "MALLAMAS EPSI", "837000084"),
    (22, "ESS207", "MUTUAL SER", "806008394"),
    (23, "EPS037", "NUEVA EPS", "900156264"),
    (24, "EPSI06", "PIJAOS SALUD EPSI", "809008362"),
    (25, "EPS047", "SALUD BOLIVAR EPS SAS", "901438242"),
    (26, "EPS046", "SALUD MIA", "900914254"),
    (27, "EPS002", "SALUD TOTAL EPS S.A.", "800130907"),
    (28, "EPSS40", "SAVIA SALUD EPS", "900604350"),
    (29, "EPS018", "SERVICIO OCCIDENTAL DE SALUD EPS SOS", "805001157"),
]


def fill_lookups(apps, schema_editor=None):
    """Write the lists into their tables; rows that are there are brought up to date."""
    for model, columns, rows in (
        ("Gender", ("code", "word", "name"), GENDERS),
        ("DocumentType", ("code", "country", "name"), DOCUMENT_TYPES),
        ("Insurer", ("code", "name", "nit"), INSURERS),
    ):
        table = apps.get_model("patients", model)
        for pk, *values in rows:
            table.objects.update_or_create(pk=pk, defaults=dict(zip(columns, values, strict=True)))
