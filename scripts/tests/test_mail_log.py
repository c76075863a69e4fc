"""What `make run` says of each mail that goes into its folder."""

from email.message import EmailMessage

from scripts.run import MailLog


def put(folder, name, subject="You are invited", text="Come in:\nhttp://localhost:8000/join/abc/\n"):
    folder.mkdir(exist_ok=True)
    message = EmailMessage()
    message["To"], message["Subject"] = "ana@example.org", subject
    message.set_content(text)
    (folder / f"{name}.eml").write_bytes(message.as_bytes())


def environment(folder, **changes):
    return {"DEMO": "true", "EMAIL_URL": f"file://{folder}"} | changes


def test_each_new_mail_is_named_once_with_its_link(tmp_path, capsys):
    folder = tmp_path / "mails"
    put(folder, "before")
    mails = MailLog(environment(folder))
    put(folder, "new")
    put(folder, "bare", subject="Your summary", text="Nothing to follow.")

    for _second in range(3):
        mails.look_at = 0
        mails.look()

    assert capsys.readouterr().out.splitlines() == [
        'carewright: mail to ana@example.org: "Your summary"',
        'carewright: mail to ana@example.org: "You are invited", http://localhost:8000/join/abc/',
    ]


def test_a_mail_nobody_can_read_stops_nothing(tmp_path, capsys):
    folder = tmp_path / "mails"
    mails = MailLog(environment(folder))
    folder.mkdir()
    (folder / "odd.eml").write_bytes(b"\xff\xfe\x00 Subject\r\n\r\n\x00")
    (folder / "gone.eml").symlink_to(tmp_path / "nowhere")

    mails.look()

    assert "mail gone.eml cannot be read (FileNotFoundError)" in capsys.readouterr().out


def test_nothing_is_said_outside_of_the_demo_or_where_mail_really_leaves(tmp_path, capsys):
    folder = tmp_path / "mails"
    logs = [
        MailLog(environment(folder, DEMO="false")),
        MailLog(environment(folder, EMAIL_URL="smtp://localhost")),
        MailLog({}),
    ]
    put(folder, "new")

    for mails in logs:
        mails.look()

    assert capsys.readouterr().out == ""
