def verify(credential):
    if credential["token"] != "right":
        raise PermissionError("the token is not known")
