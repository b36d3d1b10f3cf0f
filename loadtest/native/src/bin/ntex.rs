//! ntex with one worker on its io_uring runtime, one route.

use hurricane_loadtest_native::{BODY, MEDIA_TYPE, address};
use ntex::web::{self, App, HttpResponse};

#[ntex::main]
async fn main() -> std::io::Result<()> {
    web::server(async || App::new().route("/", web::get().to(greet)))
        .workers(1)
        .bind(address())?
        .run()
        .await
}

async fn greet() -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(BODY)
}
