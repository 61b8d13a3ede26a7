-- The parts of the job that HAProxy's configuration can't express: the signature over head and
-- body, and removing the pictures from the response.
local cjson = require "cjson.safe"

cjson.encode_number_precision(14)
pcall(cjson.encode_number_precision, 16)

-- With READ, only these members may go upstream. HAProxy can't replace a body, so a request with
-- any other member is rejected. Without READ, every body is forwarded.
local READ = @READ@
local MEMBERS = {
    ["/v2/actionliveness/sessioncode"] = { min_code_length = true, max_code_length = true },
    ["/v2/actionliveness/verify"] = { session_id = true, video_base64 = true, face_field = true },
}

local function is_allowed(path, body)
    local sent, allowed = cjson.decode(body), MEMBERS[path]
    if type(sent) ~= "table" or not allowed then
        return false
    end
    for name in pairs(sent) do
        if not allowed[name] then
            return false
        end
    end
    return true
end

-- HAProxy expects the key of an HMAC as base64.
local KEY = "@SECRET_KEY_BASE64@"

core.register_action("sign", { "http-req" }, function(txn)
    local path, body = txn.f:path(), txn.f:req_body() or ""
    if READ and not is_allowed(path, body) then
        txn:set_var("txn.refused", true)
        return
    end
    local text = "POST " .. path .. "\nHost: @UPSTREAM@\nContent-Type: application/json\n\n" .. body
    local sign = txn.c:base64(txn.c:hmac(text, "sha1", KEY))
    sign = sign:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })
    txn.http:req_set_header("Authorization", "Qiniu @ACCESS_KEY@:" .. sign)
    txn.http:req_set_header("Content-Type", "application/json")
end)

core.register_converters("without_pictures", function(text)
    local answer = cjson.decode(text)
    if type(answer) ~= "table" then
        return "{}"
    end
    local result = answer.result
    if type(result) == "table" then
        if type(result.best_image) == "table" then
            result.best_image.pic = nil
        end
        for _, image in ipairs(result.pic_list or {}) do
            image.pic = nil
        end
    end
    return cjson.encode(answer)
end)
