//! actix-web with one worker, one route.

use actix_web::rt::System;
use actix_web::{App, HttpResponse, HttpServer, web};
use hurricane_loadtest_native::{BODY, MEDIA_TYPE, address};

fn main() -> std::io::Result<()> {
    let server = HttpServer::new(|| App::new().route("/", web::get().to(greet)));
    System::new().block_on(server.workers(1).bind(address())?.run())
}

async fn greet() -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(BODY)
}
