from django.urls import path

from .pages import account, groups, people, roles

app_name = "team"
urlpatterns = [
    path("account/", account.profile, name="profile"),
    path("people/", people.people, name="list"),
    path("people/settings/", account.sign_in_settings, name="settings"),
    path("people/roles/", roles.role_list, name="roles"),
    path("people/roles/new/", roles.create_role, name="create_role"),
    path("people/roles/<int:number>/", roles.role_detail, name="role"),
    path("people/roles/<int:number>/edit/", roles.edit_role, name="edit_role"),
    path("people/roles/<int:number>/copy/", roles.copy_role, name="copy_role"),
    path("people/roles/<int:number>/delete/", roles.delete_role, name="delete_role"),
    path("people/groups/", groups.group_list, name="groups"),
    path("people/groups/new/", groups.create_group, name="create_group"),
    path("people/groups/<int:number>/", groups.group_detail, name="group"),
    path("people/groups/<int:number>/edit/", groups.edit_group, name="edit_group"),
    path("people/groups/<int:number>/end/", groups.deactivate_group, name="deactivate_group"),
    path("people/groups/<int:number>/add/<uuid:member_id>/", groups.add_group_member, name="add_group_member"),
    path("people/groups/<int:number>/remove/<uuid:member_id>/", groups.remove_group_member, name="remove_group_member"),
    path("people/<uuid:member_id>/", people.person, name="person"),
    path("people/<uuid:member_id>/edit/", people.edit_person, name="edit_person"),
    path("people/<uuid:member_id>/roles/", people.edit_roles, name="edit_roles"),
    path("people/<uuid:member_id>/permissions/new/", people.new_grant, name="new_grant"),
    path("people/<uuid:member_id>/permissions/<uuid:grant_id>/end/", people.end_grant, name="end_grant"),
    path("people/<uuid:member_id>/sessions/<uuid:session_id>/end/", people.end_session, name="end_session"),
    path("people/<uuid:member_id>/deactivate/", people.deactivate_person, name="deactivate_person"),
    path("people/<uuid:member_id>/reactivate/", people.reactivate_person, name="reactivate_person"),
]
