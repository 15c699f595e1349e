"""The checks of the challenge Social: following, and the timeline."""

from .model import Check, Expected, Group, Listing, Text, get, post
from .shapes import ANSWERED, POST, REFUSED, unauthorized

TIMELINE = Text(
    "Expected is an array of the posts of all whom the user follows, and of nobody else. In the"
    " workshop's router, /timeline must stand before /{username}/, which would take it for a name.",
    "É esperada uma lista das postagens de todos que o usuário segue, e de mais ninguém. No router"
    " da oficina, /timeline precisa vir antes de /{username}/, que a trataria como um nome.",
)

SOCIAL = (
    unauthorized(
        "timeline-anonymous",
        Group.social,
        Text("Timeline without a token", "Linha do tempo sem token"),
        get("/user/timeline"),
    ),
    Check(
        id="timeline-empty",
        group=Group.social,
        title=Text("Timeline of who follows nobody", "Linha do tempo de quem não segue ninguém"),
        request=get("/user/timeline", "bia_token"),
        demanded=Expected(
            status=("200",), body=Listing(lacks=("{post_1}", "{post_2}")), hint=TIMELINE
        ),
    ),
    unauthorized(
        "follow-anonymous",
        Group.social,
        Text("Follow without a token", "Seguir sem token"),
        post("/user/follow/{ana_id}"),
    ),
    Check(
        id="follow",
        group=Group.social,
        title=Text("Follow a user", "Seguir um usuário"),
        request=post("/user/follow/{ana_id}", "bia_token"),
        demanded=Expected(
            status=("2xx",),
            hint=Text(
                "POST /user/follow/{id} has no body; {id} is the id of the user to follow.",
                "POST /user/follow/{id} não tem corpo; {id} é o id do usuário a seguir.",
            ),
        ),
        makes=("follow",),
    ),
    Check(
        id="timeline",
        group=Group.social,
        title=Text("Timeline", "Linha do tempo"),
        request=get("/user/timeline", "bia_token"),
        demanded=Expected(
            status=("200",),
            body=Listing(each=POST, has=("{post_1}", "{post_2}"), lacks=("{post_of_caio}",)),
            hint=TIMELINE,
        ),
        usual=Expected(
            status=("200",),
            body=Listing(lacks=("{post_of_bia}",)),
            hint=Text(
                "The workshop asks for posts of those whom the user follows; own posts are here"
                " too.",
                "A oficina pede as postagens de quem o usuário segue; aqui também há as próprias.",
            ),
        ),
        needs=("follow",),
        makes=("timeline",),
    ),
    Check(
        id="timeline-one-way",
        group=Group.social,
        title=Text("Timeline of who is followed", "Linha do tempo de quem é seguido"),
        request=get("/user/timeline", "ana_token"),
        demanded=Expected(
            status=("200",),
            body=Listing(lacks=("{post_of_bia}", "{post_of_caio}")),
            hint=Text(
                "Following goes one way: whoever is followed does not follow back by that. Are"
                " from and to in their places?",
                "Seguir vale em um só sentido: quem é seguido não passa a seguir. Quem segue e"
                " quem é seguido estão no lugar certo?",
            ),
        ),
        needs=("timeline",),
    ),
    Check(
        id="follow-again",
        group=Group.social,
        title=Text("Follow the same user again", "Seguir o mesmo usuário de novo"),
        request=post("/user/follow/{ana_id}", "bia_token"),
        usual=ANSWERED,
        needs=("follow",),
    ),
    Check(
        id="timeline-once",
        group=Group.social,
        title=Text(
            "Each post once in the timeline, even then",
            "Cada postagem uma só vez na linha do tempo, mesmo assim",
        ),
        request=get("/user/timeline", "bia_token"),
        usual=Expected(
            status=("200",),
            body=Listing(has=("{post_1}", "{post_2}"), once=True),
            hint=Text(
                "The second follow was stored too: a unique constraint on the pair of users"
                " prevents that.",
                "O segundo registro de seguir também foi gravado: uma restrição única sobre o par"
                " de usuários evita isso.",
            ),
        ),
        needs=("timeline",),
    ),
    Check(
        id="follow-oneself",
        group=Group.social,
        title=Text("Follow oneself", "Seguir a si mesmo"),
        request=post("/user/follow/{caio_id}", "caio_token"),
        usual=REFUSED,
        needs=("follow",),
    ),
    Check(
        id="follow-unknown",
        group=Group.social,
        title=Text("Follow a user who does not exist", "Seguir um usuário que não existe"),
        request=post("/user/follow/{no_id}", "bia_token"),
        usual=REFUSED,
        needs=("follow",),
    ),
)
