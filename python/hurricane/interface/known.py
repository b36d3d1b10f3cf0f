"""The versions of Django's functions that were read: see ``internals``."""

# Each function with the hashes of its source in Django 4.2, 5.0 to 5.2, 6.0 and 6.1.
KNOWN: dict[str, frozenset[str]] = {
    "django.core.handlers.wsgi:LimitedStream.__init__": frozenset({"8f87510b04c843f3"}),
    "django.core.handlers.wsgi:WSGIRequest.__init__": frozenset({"39da82012b104293"}),
    "django.core.handlers.wsgi:WSGIRequest._get_scheme": frozenset({"226a0cb6c30bd4b8"}),
    "django.core.handlers.wsgi:WSGIRequest.GET": frozenset({"44516bf042f7a841"}),
    "django.core.handlers.wsgi:WSGIRequest.COOKIES": frozenset({"ac08d7e3735160b8"}),
    "django.core.handlers.wsgi:WSGIHandler.__call__": frozenset(
        {"41b9f4cbbaf3c744", "e0abf2d25633a501"}
    ),
    "django.core.handlers.wsgi:get_path_info": frozenset({"1bf8f78bbc14aa49"}),
    "django.core.handlers.wsgi:get_script_name": frozenset(
        {"e915d384ace372cc", "fe57331220c47fcd"}
    ),
    "django.core.handlers.wsgi:get_bytes_from_wsgi": frozenset({"1b3470d2b21e2c49"}),
    "django.core.handlers.wsgi:get_str_from_wsgi": frozenset({"cff36aa6faad99f2"}),
    "django.core.handlers.base:BaseHandler.get_response": frozenset({"1936a064b0c5bd82"}),
    "django.core.handlers.base:BaseHandler._get_response": frozenset({"bbc0d31aac5d1d86"}),
    "django.core.handlers.base:BaseHandler.resolve_request": frozenset({"df4893b47d5285a9"}),
    "django.core.handlers.base:BaseHandler.check_response": frozenset({"57a5130d89d02af1"}),
    "django.core.handlers.base:BaseHandler.make_view_atomic": frozenset({"b70830155a851958"}),
    "django.core.handlers.base:reset_urlconf": frozenset({"4bb512828ef75bbe"}),
    "django.http.request:HttpRequest._set_content_type_params": frozenset(
        {"032a88bef9ee23de", "22af16161f4891d1"}
    ),
    "django.http.request:HttpRequest.encoding": frozenset({"d6c905c15527ef8f"}),
    "django.http.request:HttpRequest.close": frozenset({"877f67cb3b5d40f9"}),
    "django.http.request:QueryDict.__init__": frozenset({"e42e36748c604427", "f53a8d03e12e664d"}),
    "django.http.cookie:parse_cookie": frozenset({"7dd60e978cee4178"}),
    "django.http.response:HttpResponseBase.__init__": frozenset(
        {"082128d3cfb4b31b", "7b7d8b77d6475e56"}
    ),
    "django.http.response:HttpResponseBase.reason_phrase": frozenset({"7ff5337fde3e3be1"}),
    "django.http.response:HttpResponseBase.items": frozenset({"a3e2b3e3ddab01cb"}),
    "django.http.response:HttpResponseBase.close": frozenset({"7689c4f13ba32ef4"}),
    "django.http.response:HttpResponse.__iter__": frozenset({"10033f487ba0de44"}),
    "django.http.response:StreamingHttpResponse.__iter__": frozenset(
        {"9e01ef725181e0d2", "f908af7988b1b4ce"}
    ),
    "django.http.response:StreamingHttpResponse.streaming_content": frozenset({"56f126c59a20a669"}),
    "django.http.response:StreamingHttpResponse._set_streaming_content": frozenset(
        {"34ed964ce7d3dcd5", "73351f653c361dd0"}
    ),
    "django.http.response:HttpResponse.content": frozenset({"a98fdbf8add18732"}),
    "django.http.response:ResponseHeaders.__setitem__": frozenset({"99acbf4f370c2ac3"}),
    "django.utils.datastructures:CaseInsensitiveMapping.__iter__": frozenset({"d78ce9bf7d00b0a2"}),
    "django.utils.datastructures:MultiValueDict.appendlist": frozenset({"66a6e4a23307528b"}),
    "django.urls.base:set_script_prefix": frozenset({"40b5e4374d595bce"}),
    "django.urls.base:set_urlconf": frozenset({"66cf34bc3bb8bfe5", "d7191e1cd576f0ae"}),
    "django.urls.resolvers:ResolverMatch.__getitem__": frozenset({"8007a17db13157cc"}),
    "django.utils.connection:BaseConnectionHandler.all": frozenset({"33de9ad31815cf8e"}),
    "django.utils.connection:BaseConnectionHandler.close_all": frozenset({"e881a33e6b3f0059"}),
    "django.db:reset_queries": frozenset({"ac1a034b891429d6"}),
    "django.db:close_old_connections": frozenset({"f5cf044cab3a61cd"}),
    "django.core.cache:close_caches": frozenset({"2ba32d3f493faede"}),
    "django.dispatch.dispatcher:Signal.send": frozenset(
        {"29e58899ab2f0044", "2ec36b797bc062ff", "5d9d327ee601c6b3", "86b29867bf768c7e"}
    ),
}
