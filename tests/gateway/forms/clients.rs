//! Forms as clients that exist send them: boundaries, header fields and their order, line breaks at
//! both ends.

/// What a client sends.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// The parameters of its media type.
    pub(super) boundary: &'static str,
    /// Its form, with a line feed for each line break. `SESSION`, `FACE` and `VIDEO` stand for the
    /// content of these parts.
    form: &'static str,
}

impl Client {
    pub(super) fn media(&self) -> String {
        format!("multipart/form-data; {}", self.boundary)
    }

    /// The form with this content.
    pub(super) fn form(&self, session: &str, face_field: &str, video: &[u8]) -> Vec<u8> {
        let form = self.form.replace('\n', "\r\n");
        let form = form.replace("SESSION", session).replace("FACE", face_field);
        let (before, behind) = form.split_once("VIDEO").unwrap();
        [before.as_bytes(), video, behind.as_bytes()].concat()
    }

    /// The members of the JSON that it leads to, in the order of the parts.
    pub(super) fn members(&self) -> Vec<&'static str> {
        let mut members: Vec<_> = [
            ("SESSION", "session_id"),
            ("FACE", "face_field"),
            ("VIDEO", "video_base64"),
        ]
        .into_iter()
        .filter_map(|(place, member)| Some((self.form.find(place)?, member)))
        .collect();
        members.sort_unstable();
        members.into_iter().map(|(_, member)| member).collect()
    }
}

pub(super) const CLIENTS: &[Client] = &[
    Client {
        name: "wx.uploadFile, formData first, a temporary name",
        boundary: "boundary=----WebKitFormBoundaryWX17012345678901234",
        form: "------WebKitFormBoundaryWX17012345678901234
Content-Disposition: form-data; name=\"session_id\"

SESSION
------WebKitFormBoundaryWX17012345678901234
Content-Disposition: form-data; name=\"face_field\"

FACE
------WebKitFormBoundaryWX17012345678901234
Content-Disposition: form-data; name=\"video\"; filename=\"wxfile://tmp_8a2f3c\"
Content-Type: application/octet-stream

VIDEO
------WebKitFormBoundaryWX17012345678901234--
",
    },
    Client {
        name: "the WeChat developer tools (npm's form-data)",
        boundary: "boundary=--------------------------860384014366118738362150",
        form: "----------------------------860384014366118738362150
Content-Disposition: form-data; name=\"video\"; filename=\"http://tmp/视频.mp4\"
Content-Type: video/mp4

VIDEO
----------------------------860384014366118738362150
Content-Disposition: form-data; name=\"session_id\"

SESSION
----------------------------860384014366118738362150--
",
    },
    Client {
        name: "okhttp 4, Content-Length in each part",
        boundary: "boundary=2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21",
        form: "--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
Content-Disposition: form-data; name=\"session_id\"
Content-Length: 3

SESSION
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
Content-Disposition: form-data; name=\"video\"; filename=\"a%22b.mp4\"
Content-Type: video/mp4
Content-Length: 3

VIDEO
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21--
",
    },
    Client {
        name: "Retrofit's part map over okhttp",
        boundary: "boundary=2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21",
        form: "--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
Content-Disposition: form-data; name=\"session_id\"
Content-Transfer-Encoding: binary
Content-Type: text/plain; charset=UTF-8
Content-Length: 3

SESSION
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
Content-Disposition: form-data; name=\"video\"; filename=\"v.mp4\"
Content-Type: video/*

VIDEO
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21--
",
    },
    Client {
        name: "URLSession by hand, a line break first, no file name",
        boundary: "boundary=Boundary-7C0A3E34-6B5B-4E47-8D6C-1F9E6A7D2B11",
        form: "
--Boundary-7C0A3E34-6B5B-4E47-8D6C-1F9E6A7D2B11
Content-Disposition: form-data; name=\"session_id\"

SESSION
--Boundary-7C0A3E34-6B5B-4E47-8D6C-1F9E6A7D2B11
Content-Disposition: form-data; name=\"video\"
Content-Type: video/quicktime

VIDEO
--Boundary-7C0A3E34-6B5B-4E47-8D6C-1F9E6A7D2B11--",
    },
    Client {
        name: "Alamofire",
        boundary: "boundary=alamofire.boundary.0a1b2c3d4e5f6071",
        form: "--alamofire.boundary.0a1b2c3d4e5f6071
Content-Disposition: form-data; name=\"video\"; filename=\"IMG_0042.MOV\"
Content-Type: video/quicktime

VIDEO
--alamofire.boundary.0a1b2c3d4e5f6071
Content-Disposition: form-data; name=\"session_id\"

SESSION
--alamofire.boundary.0a1b2c3d4e5f6071
Content-Disposition: form-data; name=\"face_field\"

FACE
--alamofire.boundary.0a1b2c3d4e5f6071--
",
    },
    Client {
        name: "AFNetworking",
        boundary: "boundary=Boundary+0A1B2C3D4E5F6071",
        form: "--Boundary+0A1B2C3D4E5F6071
Content-Disposition: form-data; name=\"session_id\"

SESSION
--Boundary+0A1B2C3D4E5F6071
Content-Disposition: form-data; name=\"video\"; filename=\"v.mp4\"
Content-Type: video/mp4

VIDEO
--Boundary+0A1B2C3D4E5F6071--
",
    },
    Client {
        name: "React Native on iOS, 70 characters that are no token",
        boundary: "boundary=aB3/x_.-Zk9QwErTyUiOpAsDfGhJkLzXcVbNm0123456789aB3/x_.-Zk9QwErTyUiOpA1",
        form: "--aB3/x_.-Zk9QwErTyUiOpAsDfGhJkLzXcVbNm0123456789aB3/x_.-Zk9QwErTyUiOpA1
content-disposition: form-data; name=\"session_id\"

SESSION
--aB3/x_.-Zk9QwErTyUiOpAsDfGhJkLzXcVbNm0123456789aB3/x_.-Zk9QwErTyUiOpA1
content-disposition: form-data; name=\"video\"; filename=\"%E8%A7%86%E9%A2%91.mp4\"
content-type: video/mp4

VIDEO
--aB3/x_.-Zk9QwErTyUiOpAsDfGhJkLzXcVbNm0123456789aB3/x_.-Zk9QwErTyUiOpA1--
",
    },
    Client {
        name: "React Native 0.74 to 0.76 on Android",
        boundary: "boundary=2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21",
        form: "--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
content-disposition: form-data; name=\"session_id\"
Content-Length: 3

SESSION
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21
content-disposition: form-data; name=\"video\"; filename=\"v.mp4\"; filename*=utf-8''v.mp4
Content-Type: video/mp4

VIDEO
--2f0a9d7e-6f4c-4d0b-9a55-0c8f6d1b7e21--
",
    },
    Client {
        name: "Flutter's dio",
        boundary: "boundary=--dio-boundary-0123456789",
        form: "----dio-boundary-0123456789
content-disposition: form-data; name=\"session_id\"

SESSION
----dio-boundary-0123456789
content-disposition: form-data; name=\"face_field\"
content-type: text/plain; charset=utf-8
content-transfer-encoding: binary

FACE
----dio-boundary-0123456789
content-disposition: form-data; name=\"video\"; filename=\"v.mp4\"
content-type: video/mp4

VIDEO
----dio-boundary-0123456789--
",
    },
    Client {
        name: "Dart's http",
        boundary: "boundary=dart-http-boundary-kB7.x+_'Zk9QwErTyUiOpAsDfGhJkLzXcVbNm-0123456789",
        form: "--dart-http-boundary-kB7.x+_'Zk9QwErTyUiOpAsDfGhJkLzXcVbNm-0123456789
content-disposition: form-data; name=\"session_id\"

SESSION
--dart-http-boundary-kB7.x+_'Zk9QwErTyUiOpAsDfGhJkLzXcVbNm-0123456789
content-type: application/octet-stream
content-disposition: form-data; name=\"video\"; filename=\"v.mp4\"

VIDEO
--dart-http-boundary-kB7.x+_'Zk9QwErTyUiOpAsDfGhJkLzXcVbNm-0123456789--
",
    },
    Client {
        name: "FormData of Chrome and Safari (fetch, axios), a blob",
        boundary: "boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        form: "------WebKitFormBoundary7MA4YWxkTrZu0gW
Content-Disposition: form-data; name=\"session_id\"

SESSION
------WebKitFormBoundary7MA4YWxkTrZu0gW
Content-Disposition: form-data; name=\"video\"; filename=\"blob\"
Content-Type: video/mp4;codecs=\"avc1.42E01F\"

VIDEO
------WebKitFormBoundary7MA4YWxkTrZu0gW--
",
    },
    Client {
        name: "FormData of Firefox, an unused field beside it",
        boundary: "boundary=----geckoformboundary3f1e5c9b7a2d4e6f8091a2b3c4d5e6f7",
        form: "------geckoformboundary3f1e5c9b7a2d4e6f8091a2b3c4d5e6f7
Content-Disposition: form-data; name=\"video\"; filename=\"mein \\video.mp4\"
Content-Type: video/mp4

VIDEO
------geckoformboundary3f1e5c9b7a2d4e6f8091a2b3c4d5e6f7
Content-Disposition: form-data; name=\"unused\"; filename=\"\"
Content-Type: application/octet-stream


------geckoformboundary3f1e5c9b7a2d4e6f8091a2b3c4d5e6f7
Content-Disposition: form-data; name=\"session_id\"

SESSION
------geckoformboundary3f1e5c9b7a2d4e6f8091a2b3c4d5e6f7--
",
    },
    Client {
        name: "Node's FormData (undici), a session as a blob",
        boundary: "boundary=----formdata-undici-012345678901",
        form: "------formdata-undici-012345678901
Content-Disposition: form-data; name=\"session_id\"; filename=\"blob\"
Content-Type: application/octet-stream

SESSION
------formdata-undici-012345678901
Content-Disposition: form-data; name=\"video\"; filename=\"v.mp4\"
Content-Type: video/mp4

VIDEO
------formdata-undici-012345678901--
",
    },
    Client {
        name: "curl -F",
        boundary: "boundary=------------------------d74496d66958873e",
        form: "--------------------------d74496d66958873e
Content-Disposition: form-data; name=\"session_id\"

SESSION
--------------------------d74496d66958873e
Content-Disposition: form-data; name=\"video\"; filename=\"v.mp4\"
Content-Type: application/octet-stream

VIDEO
--------------------------d74496d66958873e--
",
    },
    Client {
        name: "Python's requests, no type of the file",
        boundary: "boundary=0b7f3cf8c6f84c0e9b8a1d2e3f405162",
        form: "--0b7f3cf8c6f84c0e9b8a1d2e3f405162
Content-Disposition: form-data; name=\"session_id\"

SESSION
--0b7f3cf8c6f84c0e9b8a1d2e3f405162
Content-Disposition: form-data; name=\"video\"; filename*=utf-8''%E8%A7%86%E9%A2%91.mp4

VIDEO
--0b7f3cf8c6f84c0e9b8a1d2e3f405162--
",
    },
    Client {
        name: ".NET, a quoted boundary and unquoted names",
        boundary: "boundary=\"5b1c7a58-3b1f-4f0c-9d59-5a3c6f2d8e10\"",
        form: "--5b1c7a58-3b1f-4f0c-9d59-5a3c6f2d8e10
Content-Type: text/plain; charset=utf-8
Content-Disposition: form-data; name=session_id

SESSION
--5b1c7a58-3b1f-4f0c-9d59-5a3c6f2d8e10
Content-Type: video/mp4
Content-Disposition: form-data; name=video; filename=v.mp4; filename*=utf-8''v.mp4

VIDEO
--5b1c7a58-3b1f-4f0c-9d59-5a3c6f2d8e10--
",
    },
    Client {
        name: "Apache HttpClient, another charset",
        boundary: "charset=UTF-8; boundary=VqLsNYeGWjW_o9jBVbXjjCVBrL5Z2Zb5",
        form: "--VqLsNYeGWjW_o9jBVbXjjCVBrL5Z2Zb5
Content-Disposition: form-data; name=\"session_id\"
Content-Type: text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: 8bit

SESSION
--VqLsNYeGWjW_o9jBVbXjjCVBrL5Z2Zb5
Content-Disposition: form-data; name=\"video\"; filename=\"v.mp4\"
Content-Type: video/mp4
Content-Transfer-Encoding: binary

VIDEO
--VqLsNYeGWjW_o9jBVbXjjCVBrL5Z2Zb5--
",
    },
];
