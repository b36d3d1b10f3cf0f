//! The requests that every benchmark sends.

/// As short as a client makes it.
pub const PLAIN: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// As a browser sends it: 14 fields, two cookies, a query.
pub const BROWSER: &str = "GET /books/12/reviews?page=2&order=newest HTTP/1.1\r\n\
Host: shop.example.com:8000\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://shop.example.com/books\r\n\
Connection: keep-alive\r\n\
Cookie: csrftoken=Rr4mAcVQ2mgK1t0uK8d3XoZ0y8wX5nJq; sessionid=9q4v0ci2m1t7w3zq8k5x6b4n2h1g0f9d\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: same-origin\r\n\
X-Forwarded-For: 203.0.113.7\r\n\
X-Forwarded-Proto: https\r\n\
\r\n";
