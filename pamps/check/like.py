"""The checks of the challenge Like: liking posts, and what a user likes."""

from .model import Check, Expected, Group, Listing, Text, get, post
from .shapes import ANSWERED, POST, REFUSED, unauthorized

LIKES = Text(
    "Expected is an array of the posts (not of the likes) that the user likes.",
    "É esperada uma lista das postagens (e não dos likes) que o usuário curtiu.",
)

LIKE = (
    unauthorized(
        "like-anonymous",
        Group.like,
        Text("Like without a token", "Curtir sem token"),
        post("/post/{post_1}/like/"),
    ),
    Check(
        id="like",
        group=Group.like,
        title=Text("Like a post", "Curtir uma postagem"),
        request=post("/post/{post_1}/like/", "bia_token"),
        demanded=Expected(
            status=("2xx",),
            hint=Text(
                "POST /post/{post_id}/like/ has no body; {post_id} is the id of the post.",
                "POST /post/{post_id}/like/ não tem corpo; {post_id} é o id da postagem.",
            ),
        ),
        makes=("like",),
    ),
    Check(
        id="likes-by-user",
        group=Group.like,
        title=Text("List what a user likes", "Listar o que um usuário curtiu"),
        request=get("/post/likes/{bia}/", "bia_token"),
        demanded=Expected(
            status=("200",),
            body=Listing(each=POST, has=("{post_1}",), lacks=("{post_2}",)),
            hint=LIKES,
        ),
        needs=("like",),
        makes=("likes",),
    ),
    Check(
        id="likes-anonymous",
        group=Group.like,
        title=Text("… without a token", "… sem token"),
        request=get("/post/likes/{bia}/"),
        usual=Expected(
            status=("200",),
            hint=Text(
                "The workshop asks for a token only for the like; its other lists need none.",
                "A oficina pede um token só para curtir; as outras listas dela não precisam de"
                " token.",
            ),
        ),
        needs=("likes",),
    ),
    Check(
        id="likes-none",
        group=Group.like,
        title=Text("List the likes of who likes nothing", "Listar o que curtiu quem nada curtiu"),
        request=get("/post/likes/{ana}/", "ana_token"),
        demanded=Expected(status=("200",), body=Listing(lacks=("{post_1}",)), hint=LIKES),
        needs=("likes",),
    ),
    Check(
        id="like-again",
        group=Group.like,
        title=Text("Like the same post again", "Curtir a mesma postagem de novo"),
        request=post("/post/{post_1}/like/", "bia_token"),
        usual=ANSWERED,
        needs=("like",),
    ),
    Check(
        id="likes-once",
        group=Group.like,
        title=Text(
            "Each post once in the list, even then", "Cada postagem uma só vez, mesmo assim"
        ),
        request=get("/post/likes/{bia}/", "bia_token"),
        usual=Expected(
            status=("200",),
            body=Listing(has=("{post_1}",), once=True),
            hint=Text(
                "The second like was stored too: a unique constraint on user and post prevents"
                " that.",
                "A segunda curtida também foi gravada: uma restrição única sobre usuário e"
                " postagem evita isso.",
            ),
        ),
        needs=("likes",),
    ),
    Check(
        id="like-unknown",
        group=Group.like,
        title=Text("Like a post that does not exist", "Curtir uma postagem que não existe"),
        request=post("/post/{no_id}/like/", "bia_token"),
        usual=REFUSED,
        needs=("like",),
    ),
    Check(
        id="likes-of-nobody",
        group=Group.like,
        title=Text("List the likes of nobody", "Listar o que curtiu quem não existe"),
        request=get("/post/likes/{nobody}/", "bia_token"),
        usual=Expected(status=("200", "404")),
        needs=("likes",),
    ),
)
